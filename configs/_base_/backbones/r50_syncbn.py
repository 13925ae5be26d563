"""ResNet-50 as BYOL's family trains it: SyncBN, and residual branches that begin at zero."""
_base_ = './r50.py'

network = dict(backbone=dict(norm_cfg=dict(type='SyncBN'), zero_init_residual=True))
