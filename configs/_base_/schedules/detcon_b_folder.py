"""DetCon_B's rate, 0.2 x batch / 256, over 100,000 steps (ours), for images of unknown number."""
iterations = 100_000
recipe = 'published'
warmup = iterations // 100

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='mmdense.LARS', lr=0.2, momentum=0.9, weight_decay=1.5e-6, eta=1e-3))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-4, by_epoch=False, begin=0, end=warmup),
    dict(type='CosineAnnealingLR', eta_min=0.0, by_epoch=False, begin=warmup, end=iterations)]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=iterations, val_interval=10_000)
auto_scale_lr = dict(enable=False, base_batch_size=256)
