"""Exemplar for a few hundred images and steps, on a ResNet-18."""
_base_ = '../exemplar.py'

model = dict(projector=dict(hidden_channels=512, out_channels=128))
