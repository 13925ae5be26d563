"""Distillation of an ImageNet EfficientNet-Lite0 into a ResNet-18, 4,163 photos, frozen mIoU.

The auto recipe at 400 steps of 32 photos. The teacher runs in each step; `pipeline_taught` and
`model.cache` read its maps from files instead.
Data: data/voc_animals.
Cost: about 20 minutes on one CPU core with the maps from files.
Command: tools/dist_train.sh configs/distill_r18_animals.py 1 \
    --cfg-options model.teacher.checkpoint=efficientnet_lite0_timm.safetensors
"""
_base_ = [
    '_base_/mmdense.py',
    '_base_/pretrain_runtime.py',
    '_base_/methods/small/distill.py',
    '_base_/backbones/r18_c4_c5.py',
    '_base_/datasets/unlabelled_animals.py',
    '_base_/datasets/frozen_animals.py',
    '_base_/schedules/auto.py',
]
model = _base_.network
train_dataloader = dict(dataset=dict(pipeline=_base_.pipeline_distill))
