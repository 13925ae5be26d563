"""MoCo v2, ResNet-50, the 10,582 images of VOC 2012 trainaug, with frozen mIoU on val.

Data and schedule are those of DenseCL's config, to compare with it. Nobody published numbers for
it. As there, old keys of a query's own image are no negatives.
Data: data/VOCdevkit/VOC2012 with trainaug.txt, which mmseg's voc_aug.py converter writes.
Cost: 65,600 steps of 256 images; at the published speed for ImageNet 3.5 hours on 8 V100.
Command: tools/dist_train.sh configs/moco_r50_voc.py 8
"""
_base_ = [
    '_base_/mmdense.py',
    '_base_/pretrain_runtime.py',
    '_base_/methods/moco.py',
    '_base_/backbones/r50.py',
    '_base_/datasets/unlabelled_voc.py',
    '_base_/datasets/frozen_voc.py',
    '_base_/schedules/sgd_voc.py',
]
model = dict(_base_.network, queue=dict(own_image='masked'))
