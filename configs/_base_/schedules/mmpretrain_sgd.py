"""mmpretrain's imagenet_sgd_coslr_200e.py over 400 steps of 32 images instead of 200 epochs.

Its rate of 0.03 is for a batch of 256: linearly 0.00375 for 32.
"""
iterations = 400

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.03 * 32 / 256, momentum=0.9, weight_decay=1e-4))
param_scheduler = [
    dict(type='CosineAnnealingLR', by_epoch=False, begin=0, end=iterations)]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=iterations, val_interval=iterations)
auto_scale_lr = dict(enable=False, base_batch_size=32)
