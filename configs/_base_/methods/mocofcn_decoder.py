"""MoCoFCN's decoder (1911.05722, appendix) as a part of what is pretrained; with ``r50_s16.py``.

A method takes it by ``model = _base_.mocofcn``.
"""
mocofcn = dict(
    # what a run of another method has learnt; None = random
    backbone=dict(init_cfg=dict(type='mmdense.PretrainedBackbone', checkpoint=None)),
    decode_head=dict(
        type='FCNHead',
        in_channels=2048,
        in_index=-1,
        channels=256,
        num_convs=2,
        dilation=6,
        concat_input=False,
        norm_cfg=dict(type='BN'),
        align_corners=True))
