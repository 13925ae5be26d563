"""1000 epochs of 118,287 images (ours), 10 of them warm-up, in batches of 1024."""
_base_ = './lars.py'

iterations = 1000 * (118_287 // 1024)
warmup_end = 10 * (118_287 // 1024)
optim_wrapper = dict(optimizer=dict(lr=0.2 * 1024 / 256))
param_scheduler = [dict(_base_.warmup, end=warmup_end),
                   dict(_base_.cosine, begin=warmup_end, end=iterations)]
train_cfg = dict(max_iters=iterations, val_interval=iterations)
auto_scale_lr = dict(base_batch_size=1024)
