"""VADeR (2011.05499): a decoder of a ResNet-50's four maps, at stride 4; with ``r50_maps.py``.

*Not verified*: the authors released no code. Widths, 32 pixels of a view, temperature 0.07, queue
and momentum are from memory; the published decoder is a feature pyramid, of which mmseg's
``FPNHead`` is the part that makes one map of four.
"""
model = dict(
    type='mmdense.VADeR',
    # what a run of another method has learnt, MoCo v2 as published; None = random
    backbone=dict(init_cfg=dict(type='mmdense.PretrainedBackbone', checkpoint=None)),
    decode_head=dict(
        type='FPNHead',
        in_channels=[256, 512, 1024, 2048],
        in_index=[0, 1, 2, 3],
        feature_strides=[4, 8, 16, 32],
        channels=128,
        norm_cfg=dict(type='BN'),
        align_corners=False),
    cell_projector=dict(type='mmdense.Projector', hidden_channels=128, out_channels=128),
    queue=dict(size=65536, own_image='negative', init='random'),
    twin=dict(momentum=0.999, bn='shuffle'),
    loss=dict(type='mmdense.InfoNCE', temperature=0.07),
    matcher=dict(type='mmdense.GeometryMatcher', pairs='nearest'),
    num_cells=32)
