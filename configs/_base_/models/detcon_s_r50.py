"""DetCon_S on a plain ResNet-50: DetCon_B's frame without predictor and twin.

Its program was never published. The widths of the head are ours (SimCLR's).
"""
_base_ = './pretrain_r50.py'

model = dict(
    type='mmdense.DetConS',
    backbone=dict(norm_cfg=dict(type='SyncBN'), zero_init_residual=True),
    projector=dict(type='mmdense.Projector', in_channels=2048, hidden_channels=2048,
                   out_channels=128, norm_cfg=dict(type='SyncBN'), last_bias=False),
    regions=dict(type='mmdense.GivenRegions'),
    num_samples=16,
    loss=dict(type='mmdense.DetConLoss', temperature=0.1, local_negatives=True,
              gather_grad=True))
