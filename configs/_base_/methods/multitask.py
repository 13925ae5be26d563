"""Relative position, exemplar and colourisation on one backbone (1708.07860); with ``r50.py``.

The papers' fourth task, motion segmentation, needs videos. Weights of 1 are ours; settings of the
tasks as in their own bases.
"""
model = dict(
    type='mmdense.MultiTask',
    tasks=dict(
        position=dict(
            type='mmdense.RelativePosition',
            head=dict(type='mmdense.Projector', hidden_channels=4096, norm_cfg=dict(type='BN')),
            weight=1.0),
        exemplar=dict(
            type='mmdense.Exemplar',
            projector=dict(type='mmdense.Projector', hidden_channels=2048, out_channels=1024,
                           norm_cfg=dict(type='BN')),
            weight=1.0),
        colour=dict(
            type='mmdense.Colorization',
            head=dict(type='mmdense.Projector', hidden_channels=4096),
            weight=1.0)))
