"""PLMoCo: MoCo v2's settings for cells of a stride-16 map (``r50_s16.py``), beside whole images.

No paper describes it; what is not MoCo v2's or DenseCL's is ours: pairs by geometry, 64 cells of a
view, so that the queue has cells of 1,024 images.
"""
model = dict(
    type='mmdense.PLMoCo',
    projector=dict(type='mmdense.Projector', hidden_channels=2048, out_channels=128),
    cell_projector=dict(type='mmdense.Projector', hidden_channels=2048, out_channels=128),
    queue=dict(size=65536, own_image='negative', init='random'),
    image_queue=dict(size=65536, own_image='negative', init='random'),
    twin=dict(momentum=0.999, bn='shuffle'),
    loss=dict(type='mmdense.InfoNCE', temperature=0.2),
    matcher=dict(type='mmdense.GeometryMatcher', pairs='nearest'),
    num_cells=64,
    image_weight=0.5)
