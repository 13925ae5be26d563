"""Relative position for a few hundred images and steps, on a ResNet-18."""
_base_ = '../relative_position.py'

model = dict(head=dict(hidden_channels=512))
