"""Relative position, ResNet-50, VOC 2012 trainaug, 1,600 epochs.

Settings *not verified*: ``_base_/methods/relative_position.py``;
rate and length are those of moco_r50_voc.py.
Data: data/VOCdevkit/VOC2012 with trainaug.txt, which mmseg's voc_aug.py converter writes.
Cost: 65,600 steps of 256 images; not run by us.
Command: tools/dist_train.sh configs/relative_position_r50_voc.py 8
"""
_base_ = [
    '_base_/mmdense.py',
    '_base_/pretrain_runtime.py',
    '_base_/methods/relative_position.py',
    '_base_/backbones/r50.py',
    '_base_/datasets/unlabelled_voc.py',
    '_base_/datasets/frozen_voc.py',
    '_base_/schedules/sgd_voc.py',
]
model = _base_.network
train_dataloader = dict(dataset=dict(pipeline=_base_.pipeline_relative_position))
