"""The published ImageNet schedule: 200 epochs of 1,281,167 images, cosine to 0, no warm-up."""
_base_ = './sgd.py'

iterations = 200 * (1_281_167 // 256)
param_scheduler = [dict(_base_.cosine, end=iterations)]
train_cfg = dict(max_iters=iterations, val_interval=iterations)
