"""DenseCL's published COCO schedule: 800 epochs of 118,287 images, ten times ImageNet's rate."""
_base_ = './sgd.py'

iterations = 800 * (118_287 // 256)
optim_wrapper = dict(optimizer=dict(lr=0.3))
param_scheduler = [dict(_base_.cosine, end=iterations)]
train_cfg = dict(max_iters=iterations, val_interval=iterations)
