"""DetCon_S: DetCon_B's frame without predictor and twin; with ``r50_syncbn.py``.

Its program was never published. The widths of the head are ours (SimCLR's).
"""
model = dict(
    type='mmdense.DetConS',
    projector=dict(type='mmdense.Projector', hidden_channels=2048, out_channels=128,
                   norm_cfg=dict(type='SyncBN'), last_bias=False),
    regions=dict(type='mmdense.GivenRegions'),
    num_samples=16,
    loss=dict(type='mmdense.DetConLoss', temperature=0.1, local_negatives=True,
              gather_grad=True))
