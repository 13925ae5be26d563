"""Distillation of DINOv2 ViT-B/14 into a ResNet-50, the images of VOC 2012 trainaug.

MoCo v2's rate, which is ours here as the length is. The teacher's file is yours to name.
Data: data/VOCdevkit/VOC2012 with trainaug.txt, which mmseg's voc_aug.py converter writes.
Cost: 65,600 steps of 256 images; not run by us.
Command: tools/dist_train.sh configs/distill_r50_voc.py 8 \
    --cfg-options model.teacher.checkpoint=dinov2_vitb14_pretrain.pth
"""
_base_ = [
    '_base_/mmdense.py',
    '_base_/pretrain_runtime.py',
    '_base_/methods/distill.py',
    '_base_/backbones/r50.py',
    '_base_/datasets/unlabelled_voc.py',
    '_base_/datasets/frozen_voc.py',
    '_base_/schedules/sgd_voc.py',
]
model = _base_.network
train_dataloader = dict(dataset=dict(pipeline=_base_.pipeline_distill))
