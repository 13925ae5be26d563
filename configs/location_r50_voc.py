"""Location contrast, ResNet-50, the 10,582 images of VOC 2012 trainaug, with frozen mIoU on val.

Nobody published it: rate, decay and length are those of our DetCon_S.
Data: data/VOCdevkit/VOC2012 with trainaug.txt, which mmseg's voc_aug.py converter writes.
Cost: 65,600 steps of 256 images; not run by us.
Command: tools/dist_train.sh configs/location_r50_voc.py 8
"""
_base_ = [
    '_base_/mmdense.py',
    '_base_/pretrain_runtime.py',
    '_base_/methods/location.py',
    '_base_/backbones/r50_syncbn.py',
    '_base_/datasets/unlabelled_voc.py',
    '_base_/datasets/frozen_voc.py',
    '_base_/schedules/lars_voc.py',
]
model = _base_.network
optim_wrapper = dict(optimizer=dict(lr=0.3, weight_decay=1e-6))
