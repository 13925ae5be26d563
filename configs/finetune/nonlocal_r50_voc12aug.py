"""Non-Local, ResNet-50, VOC 2012 aug: mmseg's model and data, without auxiliary head.

Data: data/VOCdevkit/VOC2012 with SegmentationClassAug, which mmseg's voc_aug.py converter makes.
Cost: 30,000 steps of 16 images (4 processes of 4), some hours on 4 GPUs; not measured by us.
Command: tools/dist_train.sh configs/finetune/nonlocal_r50_voc12aug.py 4 \
    --cfg-options model.backbone.init_cfg.checkpoint=CHECKPOINT
"""
_base_ = [
    '../_base_/mmdense.py',
    '../_base_/finetune_runtime.py',
    '../_base_/segmentors/plain_resnet.py',
    'mmseg::_base_/models/nonlocal_r50-d8.py',
    '../_base_/datasets/voc12aug.py',
    '../_base_/schedules/finetune_cosine.py',
]
model = dict(
    _base_.plain_r50,
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(num_classes=_base_.num_classes))
