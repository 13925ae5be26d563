"""The published rate for ImageNet over 100,000 steps (ours), for images of unknown number."""
iterations = 100_000
recipe = 'published'

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.03, momentum=0.9, weight_decay=1e-4))
param_scheduler = [
    dict(type='CosineAnnealingLR', eta_min=0.0, by_epoch=False, begin=0, end=iterations)]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=iterations, val_interval=10_000)
auto_scale_lr = dict(enable=False, base_batch_size=256)
