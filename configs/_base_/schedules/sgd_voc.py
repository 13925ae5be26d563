"""VOC 2012 trainaug, 10,582 images: DenseCL's published rate for COCO, 1600 epochs are ours."""
_base_ = './sgd.py'

iterations = 1600 * (10_582 // 256)
optim_wrapper = dict(optimizer=dict(lr=0.3))
param_scheduler = [dict(_base_.cosine, end=iterations)]
train_cfg = dict(max_iters=iterations, val_interval=8000)
