"""MoCoFCN on a plain ResNet-18, with plain BatchNorm.

Corners are not aligned: that is for crops of a multiple of the stride and one more (513).
"""
_base_ = './mocofcn_r50.py'

model = dict(
    backbone=_base_.plain_r18.backbone,
    decode_head=dict(in_channels=512, norm_cfg=dict(type='BN'), align_corners=False))
