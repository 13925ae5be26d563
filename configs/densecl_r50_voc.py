"""DenseCL, ResNet-50, the 10,582 images of VOC 2012 trainaug, with frozen mIoU on val.

The published recipe for COCO. Ours: 1600 epochs, and old keys of a query's own image, of which
the queue holds six, are no negatives. Nobody published numbers for it.
Data: data/VOCdevkit/VOC2012 with trainaug.txt, which mmseg's voc_aug.py converter writes.
Cost: 65,600 steps of 256 images; at the published speed for COCO about 4.5 hours on 8 V100.
Command: tools/dist_train.sh configs/densecl_r50_voc.py 8
"""
_base_ = [
    '_base_/mmdense.py',
    '_base_/pretrain_runtime.py',
    '_base_/methods/densecl.py',
    '_base_/backbones/r50.py',
    '_base_/datasets/unlabelled_voc.py',
    '_base_/datasets/frozen_voc.py',
    '_base_/schedules/sgd_voc.py',
]
model = dict(_base_.network, queue=dict(own_image='masked'))
