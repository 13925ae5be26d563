"""DetCon_B, ResNet-50, VOC 2012 trainaug, classes as regions (upper bound: it needs labels).

The background is no region.
Data: data/VOCdevkit/VOC2012 with trainaug.txt, which mmseg's voc_aug.py converter writes.
Cost: 65,600 steps of 256 images; not run by us.
Command: tools/dist_train.sh configs/detcon_b_r50_voc_gt.py 8
"""
_base_ = [
    '_base_/mmdense.py',
    '_base_/pretrain_runtime.py',
    '_base_/models/detcon_b_r50.py',
    '_base_/datasets/regions_voc.py',
    '_base_/datasets/frozen_voc.py',
    '_base_/schedules/detcon_b_voc.py',
]
train_dataloader = dict(dataset=dict(_delete_=True, **_base_.labelled))
