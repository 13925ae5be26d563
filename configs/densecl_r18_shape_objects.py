"""DenseCL, ResNet-18, 600 generated images of one object each, with frozen mIoU on scenes.

What pretraining on object-centric images gives scenes. The auto recipe at 400 steps of 32 images:
2 processes of 16. One process needs `--cfg-options train_dataloader.batch_size=32`, four need 8.
Data: data/shapes_objects and, to measure, data/shapes; generated on first use.
Cost: as densecl_r18_shapes.py, about 5 minutes on 2 CPU cores.
Command: tools/dist_train.sh configs/densecl_r18_shape_objects.py 2
"""
_base_ = [
    '_base_/mmdense.py',
    '_base_/pretrain_runtime.py',
    '_base_/models/densecl_r18.py',
    '_base_/datasets/unlabelled_shape_objects.py',
    '_base_/datasets/frozen_shapes.py',
    '_base_/schedules/auto.py',
]
# a map of 4x4 cells on views of 64 pixels, at the stride that MoCoFCN fine-tunes
model = dict(backbone=dict(strides=(1, 2, 2, 1)))
default_hooks = dict(checkpoint=dict(interval=100))
