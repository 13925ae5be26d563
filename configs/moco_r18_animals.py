"""MoCo v2, ResNet-18, 4,163 photos: the self-supervised start of configs/tables/road.py.

The auto recipe at 2,000 steps of 32 photos.
Data: data/voc_animals.
Cost: 2,000 steps of 32 photos of 112 pixels; not run by us.
Command: tools/dist_train.sh configs/moco_r18_animals.py 1
"""
_base_ = [
    '_base_/mmdense.py',
    '_base_/pretrain_runtime.py',
    '_base_/methods/small/moco.py',
    '_base_/backbones/r18_c4_c5.py',
    '_base_/datasets/unlabelled_animals.py',
    '_base_/datasets/frozen_animals.py',
    '_base_/schedules/auto.py',
]
iterations = 2000
model = _base_.network
param_scheduler = [dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100),
                   dict(type='CosineAnnealingLR', eta_min=0.0, by_epoch=False, begin=100, end=2000)]
train_cfg = dict(max_iters=iterations, val_interval=iterations)
