"""Patch-level rotation, ResNet-50, VOC 2012 trainaug, 20 epochs from MoCo, PSPNet's decoder.

Fine-tuned with PSPNet: 72.59 mIoU in the founding notes, 75.45 without the 20 epochs (at
another rate).
The notes name neither grid nor rate: 4 x 4 patches, the encoder at a hundredth of the rate.
Data: data/VOCdevkit/VOC2012 with trainaug.txt, which mmseg's voc_aug.py converter writes.
Cost: 820 steps of 256 images; not run by us.
Command: tools/dist_train.sh configs/continue/plr_pspnet_r50_voc.py 8 --cfg-options \
    model.backbone.init_cfg.checkpoint=CHECKPOINT
"""
_base_ = [
    '../_base_/mmdense.py',
    '../_base_/pretrain_runtime.py',
    '../_base_/methods/plr.py',
    '../_base_/backbones/r50_s16.py',
    '../_base_/datasets/unlabelled_voc.py',
    '../_base_/datasets/frozen_voc.py',
    '../_base_/schedules/sgd.py',
]
iterations = 20 * (10_582 // 256)
model = dict(
    _base_.network,
    decode_head=dict(
        _delete_=True,
        type='PSPHead',
        in_channels=2048,
        in_index=-1,
        channels=512,
        pool_scales=(1, 2, 3, 6),
        norm_cfg=dict(type='BN'),
        align_corners=False))
train_dataloader = dict(dataset=dict(pipeline=_base_.pipeline_plr))
optim_wrapper = dict(
    optimizer=dict(lr=0.01),
    paramwise_cfg=dict(custom_keys={'backbone': dict(lr_mult=0.01)}))
param_scheduler = [dict(_base_.cosine, end=iterations)]
train_cfg = dict(max_iters=iterations, val_interval=iterations // 4)
