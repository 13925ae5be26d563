"""AdamW, 5 % warm-up and cosine over 120 steps of 8 crops on 2 processes; for few small images."""
iterations = 120
warmup = dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=iterations // 20)
cosine = dict(type='CosineAnnealingLR', eta_min=0.0, by_epoch=False, begin=iterations // 20,
              end=iterations)

optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='AdamW', lr=3e-4, weight_decay=0.05))
param_scheduler = [warmup, cosine]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=iterations, val_interval=iterations)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
auto_scale_lr = dict(enable=False, base_batch_size=8)
