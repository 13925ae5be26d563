"""PaKA, ResNet-50 at stride 16, the 10,582 images of VOC 2012 trainaug, with frozen mIoU on val.

Rate and length are those of moco_r50_voc.py, ours here. Name a start: random weights learn places.
Data: data/VOCdevkit/VOC2012 with trainaug.txt, which mmseg's voc_aug.py converter writes.
Cost: 65,600 steps of 256 images; not run by us.
Command: tools/dist_train.sh configs/paka_r50_voc.py 8 \
    --cfg-options model.backbone.init_cfg.checkpoint=moco_v2_800ep_pretrain.pth.tar
"""
_base_ = [
    '_base_/mmdense.py',
    '_base_/pretrain_runtime.py',
    '_base_/methods/paka.py',
    '_base_/backbones/r50_s16.py',
    '_base_/datasets/unlabelled_voc.py',
    '_base_/datasets/frozen_voc.py',
    '_base_/schedules/sgd_voc.py',
]
model = _base_.network
