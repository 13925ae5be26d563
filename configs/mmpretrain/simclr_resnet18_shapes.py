"""mmpretrain's own SimCLR with our views and the auto recipe, on 600 generated scenes.

Changed from mmpretrain's config for ImageNet: ResNet-18, a head of 512 hidden channels, plain
BatchNorm, no zeros at the start of residual branches, our mild views of 64 pixels and preprocessor,
AdamW for 400 steps of 32 images (2 processes of 16), strides as in densecl_r18_shapes.py.
Head, loss and temperature are mmpretrain's. A shorter run needs only
`--cfg-options train_cfg.max_iters=100`.
Data: data/shapes, generated on first use.
Cost: 4 minutes on 2 CPU cores with --amp (bfloat16).
Command: tools/dist_train.sh configs/mmpretrain/simclr_resnet18_shapes.py 2
"""
_base_ = [
    '../_base_/mmdense.py',
    '../_base_/pretrain_runtime.py',
    '../_base_/models/mmpretrain_simclr_r18.py',
    '../_base_/datasets/unlabelled_shapes.py',
    '../_base_/datasets/frozen_shapes.py',
    '../_base_/schedules/auto.py',
]
# a map of 4x4 cells on views of 64 pixels, at the stride that MoCoFCN fine-tunes
model = dict(backbone=dict(strides=(1, 2, 2, 1)))
default_hooks = dict(checkpoint=dict(interval=100))
