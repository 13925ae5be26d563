"""A plain ResNet-18 with plain BatchNorm: it also runs on CPU processes."""
_base_ = './r50.py'

network = dict(backbone=dict(depth=18))
