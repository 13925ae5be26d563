"""DenseCL, ResNet-18, 600 generated scenes, with frozen mIoU: what `make demo` pretrains.

The auto recipe at 400 steps of 32 images: 2 processes of 16. One process needs
`--cfg-options train_dataloader.batch_size=32`, four need 8.
Data: data/shapes, generated on first use.
Cost: about 5 minutes on 2 CPU cores.
Command: tools/dist_train.sh configs/densecl_r18_shapes.py 2
"""
_base_ = [
    '_base_/mmdense.py',
    '_base_/pretrain_runtime.py',
    '_base_/methods/small/densecl.py',
    '_base_/backbones/r18_s16.py',
    '_base_/datasets/unlabelled_shapes.py',
    '_base_/datasets/frozen_shapes.py',
    '_base_/schedules/auto.py',
]
model = _base_.network
default_hooks = dict(checkpoint=dict(interval=100))
