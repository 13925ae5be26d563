"""LARS, warm-up and cosine at DetCon_B's rate, 0.2 x batch / 256; 100,000 steps are ours.

``lars_….py`` have the lengths for other data; a length of your own is four lines as there.
"""
iterations = 100_000
recipe = 'published'
warmup = dict(type='LinearLR', start_factor=1e-4, by_epoch=False, begin=0, end=iterations // 100)
cosine = dict(type='CosineAnnealingLR', eta_min=0.0, by_epoch=False, begin=iterations // 100,
              end=iterations)

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='mmdense.LARS', lr=0.2, momentum=0.9, weight_decay=1.5e-6, eta=1e-3))
param_scheduler = [warmup, cosine]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=iterations, val_interval=10_000)
auto_scale_lr = dict(enable=False, base_batch_size=256)
