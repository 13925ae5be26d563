"""Relative position, ResNet-50, ImageNet-1k, 200 epochs.

Settings *not verified*: ``_base_/methods/relative_position.py``;
rate and length are those of moco_r50_in1k.py.
Data: data/imagenet/train (the labels, its folders, are not used).
Cost: 1,000,800 steps of 256 images; not run by us.
Command: tools/dist_train.sh configs/relative_position_r50_in1k.py 8
"""
_base_ = [
    '_base_/mmdense.py',
    '_base_/pretrain_runtime.py',
    '_base_/methods/relative_position.py',
    '_base_/backbones/r50.py',
    '_base_/datasets/unlabelled_folder.py',
    '_base_/schedules/sgd_in1k.py',
]
model = _base_.network
train_dataloader = dict(dataset=dict(
    data_root='data/imagenet/train', pipeline=_base_.pipeline_relative_position))
