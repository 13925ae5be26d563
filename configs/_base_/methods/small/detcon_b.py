"""DetCon_B for a few hundred images and steps, on a ResNet-18 with stride 16 (``r18_s16.py``).

Plain BatchNorm: it also runs on CPU processes.
"""
_base_ = '../detcon_b.py'

model = dict(
    projector=dict(hidden_channels=512, out_channels=128, norm_cfg=dict(type='BN')),
    predictor=dict(in_channels=128, hidden_channels=512, out_channels=128,
                   norm_cfg=dict(type='BN')),
    twin=dict(momentum=0.9))
