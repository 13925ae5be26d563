"""Location contrast: NT-Xent of places, on DetCon_S's frame; with ``r50_syncbn.py``.

Nothing about it was published; all numbers are ours. T is MoCo v2's, the head's widths SimCLR's.
"""
model = dict(
    type='mmdense.LocationContrast',
    projector=dict(type='mmdense.Projector', hidden_channels=2048, out_channels=128,
                   norm_cfg=dict(type='SyncBN'), last_bias=False),
    loss=dict(type='mmdense.InfoNCE', temperature=0.2),
    matcher=dict(type='mmdense.GeometryMatcher', pairs='nearest'),
    instances='cells',
    num_cells=32,
    negatives='both',
    threshold=1.5)
