"""PLMoCo, ResNet-50, VOC 2012 trainaug, 50 epochs from MoCo.

Fine-tuned with MoCoFCN: 71.67 mIoU in the founding notes, 72.65 without the 50 epochs.
The notes name no rate: MoCo v2's.
Data: data/VOCdevkit/VOC2012 with trainaug.txt, which mmseg's voc_aug.py converter writes.
Cost: 2,050 steps of 256 images; not run by us.
Command: tools/dist_train.sh configs/continue/plmoco_r50_voc_50e.py 8 --cfg-options \
    model.backbone.init_cfg.checkpoint=CHECKPOINT
"""
_base_ = [
    '../_base_/mmdense.py',
    '../_base_/pretrain_runtime.py',
    '../_base_/methods/plmoco.py',
    '../_base_/backbones/r50_s16.py',
    '../_base_/datasets/unlabelled_voc.py',
    '../_base_/datasets/frozen_voc.py',
    '../_base_/schedules/sgd.py',
]
iterations = 50 * (10_582 // 256)
model = dict(
    _base_.network,
    backbone=dict(
        _base_.network.backbone,
        init_cfg=dict(type='mmdense.PretrainedBackbone', checkpoint=None)),
    queue=dict(own_image='masked'),
    image_queue=dict(size=4096, own_image='masked'))
param_scheduler = [dict(_base_.cosine, end=iterations)]
train_cfg = dict(max_iters=iterations, val_interval=iterations // 4)
