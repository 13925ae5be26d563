"""AdamW with 5 % warm-up and cosine: what ``recipe = 'auto'`` sets, here for 400 steps of 32.

With the recipe ``train_cfg.max_iters`` is the only number to change; the rest follows.
"""
iterations = 400
warmup = iterations // 20
recipe = 'auto'

optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=warmup),
    dict(type='CosineAnnealingLR', eta_min=0.0, by_epoch=False, begin=warmup, end=iterations)]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=iterations, val_interval=iterations)
auto_scale_lr = dict(enable=False, base_batch_size=32)
