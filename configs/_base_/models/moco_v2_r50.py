"""MoCo v2 on a plain ResNet-50 with the published settings (2003.04297; 1911.05722, sec. 3.3)."""
model = dict(
    type='mmdense.MoCoV2',
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
        zero_init_residual=False),
    projector=dict(type='mmdense.Projector', in_channels=2048, hidden_channels=2048,
                   out_channels=128),
    queue=dict(size=65536, own_image='negative', init='random'),
    twin=dict(momentum=0.999, bn='shuffle'),
    loss=dict(type='mmdense.InfoNCE', temperature=0.2))
