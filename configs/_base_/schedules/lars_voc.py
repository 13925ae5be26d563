"""1600 epochs of VOC 2012 trainaug's 10,582 images, which are ours."""
_base_ = './lars.py'

iterations = 1600 * (10_582 // 256)
warmup_end = iterations // 100
param_scheduler = [dict(_base_.warmup, end=warmup_end),
                   dict(_base_.cosine, begin=warmup_end, end=iterations)]
train_cfg = dict(max_iters=iterations, val_interval=8000)
