"""A plain ResNet-50, which has torchvision's names, and its preprocessor; for any method.

A config takes them by ``model = _base_.network``.
"""
network = dict(
    data_preprocessor=dict(
        type='mmdense.ViewsPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True),
    backbone=dict(
        type='ResNet',
        depth=50,
        num_stages=4,
        out_indices=(3,),
        norm_cfg=dict(type='BN'),
        zero_init_residual=False))
