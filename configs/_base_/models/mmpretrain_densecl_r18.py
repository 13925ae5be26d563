"""mmpretrain's DenseCL as its densecl_resnet50_8xb32-coslr-200e_in1k.py has it, on a ResNet-18.

Changed are the depth and what comes with it, ``in_channels``. ``momentum`` is mmengine's, the
weight of the new value: 0.999 in the paper's sense. The dense loss counts from the first step:
mmpretrain's config has no warm-up.
"""
model = dict(
    _scope_='mmpretrain',
    type='mmpretrain.DenseCL',
    queue_len=65536,
    feat_dim=128,
    momentum=0.001,
    loss_lambda=0.5,
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
        type='DenseCLNeck',
        in_channels=512,
        hid_channels=2048,
        out_channels=128,
        num_grid=None),
    head=dict(
        type='ContrastiveHead',
        loss=dict(type='CrossEntropyLoss'),
        temperature=0.2))
find_unused_parameters = True
