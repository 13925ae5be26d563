"""Colourisation for a few hundred images and steps, on a ResNet-18."""
_base_ = '../colorization.py'

model = dict(head=dict(hidden_channels=256))
