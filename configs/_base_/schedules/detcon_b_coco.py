"""DetCon_B's rate, 0.2 x batch / 256; 1000 epochs of 118,287 images are ours."""
iterations = 1000 * (118_287 // 1024)
warmup = 10 * (118_287 // 1024)

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='mmdense.LARS', lr=0.2 * 1024 / 256, momentum=0.9,
                   weight_decay=1.5e-6, eta=1e-3))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-4, by_epoch=False, begin=0, end=warmup),
    dict(type='CosineAnnealingLR', eta_min=0.0, by_epoch=False, begin=warmup, end=iterations)]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=iterations, val_interval=iterations)
auto_scale_lr = dict(enable=False, base_batch_size=1024)
