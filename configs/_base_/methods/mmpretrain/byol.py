"""mmpretrain's BYOL on a plain ResNet-18 for a few hundred images and steps.

From its byol_resnet50_16xb256-coslr-200e_in1k.py are the heads' form and the loss. Changed are the
depth, the widths (512 hidden and 128 out, as in our small configs, for 4096 and 256), BatchNorm
without synchronisation, our preprocessor and ``base_momentum``. That is mmengine's, the weight of
the new value at the start: 0.996 in the paper's sense, rising to 1, as published. Over a few
hundred steps 0.9, which the auto recipe gives DetCon_B's twin, and 0.99 were worse
(docs/benchmarks/detcon.md).
"""
model = dict(
    _scope_='mmpretrain',
    type='mmpretrain.BYOL',
    base_momentum=0.004,
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
        with_bias=True,
        with_last_bn=False,
        with_avg_pool=True,
        norm_cfg=dict(type='BN1d')),
    head=dict(
        type='LatentPredictHead',
        predictor=dict(
            type='NonLinearNeck',
            in_channels=128,
            hid_channels=512,
            out_channels=128,
            num_layers=2,
            with_bias=True,
            with_last_bn=False,
            with_avg_pool=False,
            norm_cfg=dict(type='BN1d')),
        loss=dict(type='CosineSimilarityLoss')))
