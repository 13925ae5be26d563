"""DetCon_S for a few hundred images and steps, on a ResNet-18 with stride 16 (``r18_s16.py``).

Plain BatchNorm: it also runs on CPU processes.
"""
_base_ = '../detcon_s.py'

model = dict(projector=dict(hidden_channels=512, norm_cfg=dict(type='BN')))
