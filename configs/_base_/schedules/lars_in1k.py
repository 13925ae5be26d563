"""1000 epochs of ImageNet, 10 of them warm-up.

Published for batches of 4096 (DetCon's main_loop.py and detcon_b_config.py); here 1024.
"""
_base_ = './lars.py'

iterations = 1000 * (1_281_167 // 1024)
warmup_end = 10 * (1_281_167 // 1024)
optim_wrapper = dict(optimizer=dict(lr=0.2 * 1024 / 256))
param_scheduler = [dict(_base_.warmup, end=warmup_end),
                   dict(_base_.cosine, begin=warmup_end, end=iterations)]
train_cfg = dict(max_iters=iterations, val_interval=iterations)
auto_scale_lr = dict(base_batch_size=1024)
