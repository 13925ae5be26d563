"""Location contrast for a few hundred images and steps, on a ResNet-18.

Plain BatchNorm: it also runs on CPU processes.
"""
_base_ = '../location.py'

model = dict(projector=dict(hidden_channels=512, norm_cfg=dict(type='BN')))
