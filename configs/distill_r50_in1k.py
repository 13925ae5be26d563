"""Distillation of DINOv2 ViT-B/14 into a ResNet-50, ImageNet-1k.

MoCo v2's rate and length, which are ours here. The teacher's file is yours to name.
Data: data/imagenet/train (the labels, its folders, are not used).
Cost: 1,000,800 steps of 256 images; not run by us.
Command: tools/dist_train.sh configs/distill_r50_in1k.py 8 \
    --cfg-options model.teacher.checkpoint=dinov2_vitb14_pretrain.pth
"""
_base_ = [
    '_base_/mmdense.py',
    '_base_/pretrain_runtime.py',
    '_base_/methods/distill.py',
    '_base_/backbones/r50.py',
    '_base_/datasets/unlabelled_folder.py',
    '_base_/schedules/sgd_in1k.py',
]
model = _base_.network
train_dataloader = dict(dataset=dict(
    data_root='data/imagenet/train', pipeline=_base_.pipeline_distill))
