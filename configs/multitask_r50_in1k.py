"""Relative position, exemplar and colourisation at once, ResNet-50, ImageNet-1k.

Settings *not verified*; rate and length are those of moco_r50_in1k.py. One input for all tasks
(harmonised): docs/methods/pretexts.md.
Data: data/imagenet/train (the labels, its folders, are not used).
Cost: 1,000,800 steps of 256 images for each task; not run by us.
Command: tools/dist_train.sh configs/multitask_r50_in1k.py 8
"""
_base_ = [
    '_base_/mmdense.py',
    '_base_/pretrain_runtime.py',
    '_base_/methods/multitask.py',
    '_base_/backbones/r50.py',
    '_base_/datasets/multitask_folder.py',
    '_base_/schedules/sgd_in1k.py',
]
_images = dict(data_root='data/imagenet/train')
model = _base_.network
train_dataloader = dict(dataset=dict(datasets=dict(
    position=_images, exemplar=_images, colour=_images)))
