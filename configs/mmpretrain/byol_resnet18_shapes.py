"""mmpretrain's own BYOL with our views and the auto recipe, on 600 generated scenes.

Changed from mmpretrain's config for ImageNet: ResNet-18, heads of 512 and 128 channels, plain
BatchNorm, momentum 0.996 rising to 1, our mild views of 64 pixels and preprocessor, AdamW for 400
steps of 32 images (2 processes of 16), strides as in densecl_r18_shapes.py.
Heads, loss and the momentum's cosine are mmpretrain's. A shorter run needs only
`--cfg-options train_cfg.max_iters=100`.
Data: data/shapes, generated on first use.
Cost: 5 minutes on 2 CPU cores with --amp (bfloat16).
Command: tools/dist_train.sh configs/mmpretrain/byol_resnet18_shapes.py 2
"""
_base_ = [
    '../_base_/mmdense.py',
    '../_base_/pretrain_runtime.py',
    '../_base_/models/mmpretrain_byol_r18.py',
    '../_base_/datasets/unlabelled_shapes.py',
    '../_base_/datasets/frozen_shapes.py',
    '../_base_/schedules/auto.py',
]
# a map of 4x4 cells on views of 64 pixels, at the stride that MoCoFCN fine-tunes
model = dict(backbone=dict(strides=(1, 2, 2, 1)))
default_hooks = dict(checkpoint=dict(interval=100))
