"""Supervised: mmpretrain's classifier, ResNet-18, 600 labelled images of one object each.

What classification gives scenes; the log has frozen mIoU on them. As many steps and images as
densecl_r18_shape_objects.py; of the auto recipe only optimiser and schedule apply.
Data: data/shapes_objects and, to measure, data/shapes; generated on first use.
Cost: estimated, not measured: 3 minutes on 2 CPU cores.
Command: tools/dist_train.sh configs/supervised_r18_shape_objects.py 2
"""
_base_ = [
    '_base_/mmdense.py',
    '_base_/pretrain_runtime.py',
    '_base_/models/mmpretrain_classifier_r18.py',
    '_base_/datasets/shape_objects.py',
    '_base_/datasets/frozen_shapes.py',
    '_base_/schedules/auto.py',
]
model = dict(backbone=dict(strides=(1, 2, 2, 1)), head=dict(num_classes=_base_.num_classes))
default_hooks = dict(checkpoint=dict(interval=100))
