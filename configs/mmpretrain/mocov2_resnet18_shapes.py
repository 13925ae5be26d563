"""mmpretrain's own MoCo v2, published recipe as it is, on 600 generated scenes.

Changed from mmpretrain's config for ImageNet: ResNet-18, views of 64 pixels, 400 steps of 32
images (2 processes of 16) at a rate scaled linearly, strides as in densecl_r18_shapes.py.
Queue, momentum, temperature, heads, augmentation and optimiser are mmpretrain's.
Data: data/shapes, generated on first use.
Cost: estimated from two steps: 8 minutes on 2 CPU cores.
Command: tools/dist_train.sh configs/mmpretrain/mocov2_resnet18_shapes.py 2
"""
_base_ = [
    '../_base_/mmdense.py',
    '../_base_/pretrain_runtime.py',
    '../_base_/models/mmpretrain_moco_v2_r18.py',
    '../_base_/datasets/unlabelled_shapes_mmpretrain.py',
    '../_base_/datasets/frozen_shapes.py',
    '../_base_/schedules/mmpretrain_sgd.py',
]
# a map of 4x4 cells on views of 64 pixels, at the stride that MoCoFCN fine-tunes
model = dict(backbone=dict(strides=(1, 2, 2, 1)))
default_hooks = dict(checkpoint=dict(interval=100))
