"""MoCo v2 on a plain ResNet-18 for a few hundred images and steps.

As in densecl_r18.py, what changes beside the widths is what ``recipe = 'auto'`` sets from the data,
and BatchNorm in the head.
"""
_base_ = './moco_v2_r50.py'

model = dict(
    backbone=dict(depth=18),
    projector=dict(in_channels=512, hidden_channels=512, norm_cfg=dict(type='BN')),
    queue=dict(size=1024, own_image='masked', init='empty'),
    twin=dict(momentum=0.9))
