"""PixPro with the settings of its authors' program (2011.10043); with ``r50_syncbn.py``.

github.com/zdaxie/PixPro: ``contrast/models/PixPro.py``, ``tools/pixpro_base_r50_100ep.sh``.
"""
model = dict(
    type='mmdense.PixPro',
    projector=dict(type='mmdense.Projector', hidden_channels=4096, out_channels=256,
                   norm_cfg=dict(type='SyncBN')),
    context=dict(type='mmdense.PixelPropagation', in_channels=256, gamma=2.0, num_layers=1),
    twin=dict(momentum=0.99, end_momentum=1.0, bn='plain'),
    threshold=0.7,
    published=True)
