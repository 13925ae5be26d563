"""DetCon_S on a plain ResNet-18 for a few hundred images and steps.

The last stage keeps its size (stride 16): small views have few cells, and a region needs one.
Plain BatchNorm: it also runs on CPU processes.
"""
_base_ = './detcon_s_r50.py'

model = dict(
    backbone=dict(depth=18, strides=(1, 2, 2, 1), norm_cfg=dict(type='BN'),
                  zero_init_residual=False),
    projector=dict(in_channels=512, hidden_channels=512, norm_cfg=dict(type='BN')))
