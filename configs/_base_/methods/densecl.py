"""DenseCL with the published settings (2011.09157, sec. 4.1)."""
model = dict(
    type='mmdense.DenseCL',
    projector=dict(type='mmdense.Projector', hidden_channels=2048, out_channels=128),
    dense_projector=dict(type='mmdense.Projector', hidden_channels=2048, out_channels=128),
    queue=dict(size=65536, own_image='negative', init='random'),
    twin=dict(momentum=0.999, bn='shuffle'),
    loss=dict(type='mmdense.InfoNCE', temperature=0.2),
    matcher=dict(type='mmdense.SimilarityMatcher'),
    dense_weight=0.5,
    dense_warmup=1000)
