"""MoCo v2 as published (2003.04297, and the authors' program)."""
model = dict(
    type='mmdense.MoCo',
    projector=dict(type='mmdense.Projector', hidden_channels=2048, out_channels=128),
    queue=dict(size=65536, own_image='negative', init='random'),
    twin=dict(momentum=0.999, bn='shuffle'),
    loss=dict(type='mmdense.InfoNCE', temperature=0.2))
