"""mmpretrain's MoCo v2 as its mocov2_resnet50_8xb32-coslr-200e_in1k.py has it, on a ResNet-18.

Changed are the depth and what comes with it, ``in_channels``. ``momentum`` is mmengine's, the
weight of the new value: 0.999 in the paper's sense.
"""
model = dict(
    _scope_='mmpretrain',
    type='mmpretrain.MoCo',
    queue_len=65536,
    feat_dim=128,
    momentum=0.001,
    data_preprocessor=dict(
        type='SelfSupDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        to_rgb=True),
    backbone=dict(
        type='ResNet',
        depth=18,
        norm_cfg=dict(type='BN'),
        zero_init_residual=False),
    neck=dict(
        type='MoCoV2Neck',
        in_channels=512,
        hid_channels=2048,
        out_channels=128,
        with_avg_pool=True),
    head=dict(
        type='ContrastiveHead',
        loss=dict(type='CrossEntropyLoss'),
        temperature=0.2))
