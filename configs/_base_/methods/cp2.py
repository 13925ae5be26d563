"""CP2 with the settings of its authors' program (2203.11709); with ``r50_s16.py``.

github.com/wangf3014/CP2: ``main.py``, ``builder.py``, ``configs/config_pretrain.py``.
"""
model = dict(
    type='mmdense.CP2',
    # what a run of another method has learnt, for the published Quick Tuning; None = random
    backbone=dict(init_cfg=dict(type='mmdense.PretrainedBackbone', checkpoint=None)),
    decode_head=dict(
        type='ASPPHead',
        in_channels=2048,
        in_index=-1,
        channels=512,
        dilations=(1, 6, 12, 18),
        norm_cfg=dict(type='BN'),
        align_corners=False),
    projector=dict(type='mmdense.Projector', hidden_channels=512, out_channels=128),
    queue=dict(size=65536, own_image='negative', init='random'),
    twin=dict(momentum=0.999, bn='shuffle'),
    loss=dict(type='mmdense.InfoNCE', temperature=0.2),
    dense_weight=0.2,
    dense_temperature=1.0,
    area=(0.5, 0.8),
    aspect=(0.8, 1.25))
