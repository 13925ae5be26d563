"""DetCon_B's rate, 0.2 x batch / 256, over 1000 epochs of ImageNet, 10 of them warm-up.

Published for batches of 4096 (the authors' main_loop.py and detcon_b_config.py)."""
iterations = 1000 * (1_281_167 // 1024)
warmup = 10 * (1_281_167 // 1024)

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='mmdense.LARS', lr=0.2 * 1024 / 256, momentum=0.9,
                   weight_decay=1.5e-6, eta=1e-3))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-4, by_epoch=False, begin=0, end=warmup),
    dict(type='CosineAnnealingLR', eta_min=0.0, by_epoch=False, begin=warmup, end=iterations)]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=iterations, val_interval=iterations)
auto_scale_lr = dict(enable=False, base_batch_size=1024)
