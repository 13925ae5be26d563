"""PixContrast on PixPro's frame (2011.10043, sec. 3.1); with ``r50_syncbn.py``.

Its authors never released it. Temperature and threshold are *not verified*; the rest is PixPro's.
"""
model = dict(
    type='mmdense.PixContrast',
    projector=dict(type='mmdense.Projector', hidden_channels=4096, out_channels=256,
                   norm_cfg=dict(type='SyncBN')),
    twin=dict(momentum=0.99, end_momentum=1.0, bn='plain'),
    temperature=0.3,
    threshold=0.7,
    published=True)
