"""SGD and a cosine to 0, at MoCo v2's rate for ImageNet (2003.04297); 100,000 steps are ours.

``sgd_….py`` have the rates and lengths for other data; a length of your own is three lines as
there.
"""
iterations = 100_000
recipe = 'published'
cosine = dict(type='CosineAnnealingLR', eta_min=0.0, by_epoch=False, begin=0, end=iterations)

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.03, momentum=0.9, weight_decay=1e-4))
param_scheduler = [cosine]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=iterations, val_interval=10_000)
auto_scale_lr = dict(enable=False, base_batch_size=256)
