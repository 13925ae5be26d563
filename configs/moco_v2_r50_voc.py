"""MoCo v2, ResNet-50, the 10,582 images of VOC 2012 trainaug, with frozen mIoU on val.

The published method with the rate and schedule of densecl_r50_voc.py, so that the two compare:
DenseCL's for COCO, 1600 epochs, and old keys of a query's own image, of which the queue holds six,
are no negatives. Nobody published numbers for it.
Data: data/VOCdevkit/VOC2012 with trainaug.txt, which mmseg's voc_aug.py converter writes.
Cost: 65,600 steps of 256 images; not measured, less than DenseCL's.
Command: tools/dist_train.sh configs/moco_v2_r50_voc.py 8
"""
_base_ = [
    '_base_/mmdense.py',
    '_base_/pretrain_runtime.py',
    '_base_/models/moco_v2_r50.py',
    '_base_/datasets/unlabelled_voc.py',
    '_base_/datasets/frozen_voc.py',
    '_base_/schedules/densecl_voc.py',
]
model = dict(queue=dict(own_image='masked'))
