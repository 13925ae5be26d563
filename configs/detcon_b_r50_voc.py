"""DetCon_B, ResNet-50, VOC 2012 trainaug, FH's regions.

Data: data/VOCdevkit/VOC2012 with trainaug.txt, which mmseg's voc_aug.py converter writes; regions:
    python tools/make_regions.py data/VOCdevkit/VOC2012/JPEGImages \
        data/VOCdevkit/VOC2012/regions_fh
Cost: 65,600 steps of 256 images; not run by us.
Command: tools/dist_train.sh configs/detcon_b_r50_voc.py 8
"""
_base_ = [
    '_base_/mmdense.py',
    '_base_/pretrain_runtime.py',
    '_base_/models/detcon_b_r50.py',
    '_base_/datasets/regions_voc.py',
    '_base_/datasets/frozen_voc.py',
    '_base_/schedules/detcon_b_voc.py',
]
