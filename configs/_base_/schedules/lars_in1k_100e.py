"""100 epochs of ImageNet in batches of 1024, 5 of them warm-up, as PixPro's authors have it."""
_base_ = './lars.py'

iterations = 100 * (1_281_167 // 1024)
warmup_end = 5 * (1_281_167 // 1024)
optim_wrapper = dict(optimizer=dict(lr=1.0 * 1024 / 256, weight_decay=1e-5))
param_scheduler = [dict(_base_.warmup, start_factor=0.01, end=warmup_end),
                   dict(_base_.cosine, begin=warmup_end, end=iterations)]
train_cfg = dict(max_iters=iterations, val_interval=iterations)
auto_scale_lr = dict(base_batch_size=1024)
