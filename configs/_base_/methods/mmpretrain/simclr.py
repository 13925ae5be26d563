"""mmpretrain's SimCLR on a plain ResNet-18 for a few hundred images and steps.

From its simclr_resnet50_8xb32-coslr-200e_in1k.py are the head's form, the loss and its temperature.
Changed are the depth, the hidden width (512, as in our small configs, for 2048), BatchNorm without
synchronisation, ``zero_init_residual`` and our preprocessor.
"""
model = dict(
    _scope_='mmpretrain',
    type='mmpretrain.SimCLR',
    data_preprocessor=dict(
        type='mmdense.ViewsPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True),
    backbone=dict(
        type='ResNet',
        depth=18,
        norm_cfg=dict(type='BN'),
        zero_init_residual=False),
    neck=dict(
        type='NonLinearNeck',
        in_channels=512,
        hid_channels=512,
        out_channels=128,
        num_layers=2,
        with_avg_pool=True,
        norm_cfg=dict(type='BN1d')),
    head=dict(
        type='ContrastiveHead',
        loss=dict(type='CrossEntropyLoss'),
        temperature=0.1))
