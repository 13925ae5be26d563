"""The published ImageNet schedule: 200 epochs of 1,281,167 images, cosine to 0, no warm-up."""
iterations = 200 * (1_281_167 // 256)

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.03, momentum=0.9, weight_decay=1e-4))
param_scheduler = [
    dict(type='CosineAnnealingLR', eta_min=0.0, by_epoch=False, begin=0, end=iterations)]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=iterations, val_interval=iterations)
auto_scale_lr = dict(enable=False, base_batch_size=256)
