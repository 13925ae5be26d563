"""PixContrast, ResNet-50, the 10,582 images of VOC 2012 trainaug, with frozen mIoU on val.

PixPro's rate, 1.0 x batch / 256, and decay; the length is ours.
Temperature and threshold of the method are *not verified*: it was never released.
Data: data/VOCdevkit/VOC2012 with trainaug.txt, which mmseg's voc_aug.py converter writes.
Cost: 65,600 steps of 256 images; not run by us.
Command: tools/dist_train.sh configs/pixcontrast_r50_voc.py 8
"""
_base_ = [
    '_base_/mmdense.py',
    '_base_/pretrain_runtime.py',
    '_base_/methods/pixcontrast.py',
    '_base_/backbones/r50_syncbn.py',
    '_base_/datasets/unlabelled_voc.py',
    '_base_/datasets/frozen_voc.py',
    '_base_/schedules/lars_voc.py',
]
model = _base_.network
train_dataloader = dict(dataset=dict(pipeline=_base_.pipeline_soft))
optim_wrapper = dict(optimizer=dict(lr=1.0, weight_decay=1e-5))
