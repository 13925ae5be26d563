"""DetCon_B, ResNet-50, VOC 2012 trainaug, learnt soft regions.

Data: data/VOCdevkit/VOC2012 with trainaug.txt, which mmseg's voc_aug.py converter writes.
Cost: 65,600 steps of 256 images; not run by us.
Command: tools/dist_train.sh configs/detcon_b_r50_voc_soft.py 8
"""
_base_ = [
    '_base_/mmdense.py',
    '_base_/pretrain_runtime.py',
    '_base_/models/detcon_b_r50.py',
    '_base_/datasets/regions_voc.py',
    '_base_/datasets/frozen_voc.py',
    '_base_/schedules/detcon_b_voc.py',
]
train_dataloader = dict(dataset=dict(pipeline=_base_.pipeline_soft))
model = dict(regions=dict(_delete_=True, type='mmdense.SoftRegions', in_channels=2048,
                          num_regions=64, norm_cfg=dict(type='SyncBN')))
