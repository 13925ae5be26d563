"""DetCon_B with the settings of its authors' program (2103.10957); with ``r50_syncbn.py``.

github.com/google-deepmind/detcon: ``detcon_b_config.py``, ``detcon_b.py``, ``utils/networks.py``.
"""
model = dict(
    type='mmdense.DetConB',
    projector=dict(type='mmdense.Projector', hidden_channels=4096, out_channels=256,
                   norm_cfg=dict(type='SyncBN'), last_bias=False),
    predictor=dict(type='mmdense.Projector', in_channels=256, hidden_channels=4096,
                   out_channels=256, norm_cfg=dict(type='SyncBN'), last_bias=False),
    regions=dict(type='mmdense.GivenRegions'),
    num_samples=16,
    twin=dict(momentum=0.996, end_momentum=1.0, bn='plain'),
    loss=dict(type='mmdense.DetConLoss', temperature=0.1, local_negatives=True,
              gather_grad=False))
