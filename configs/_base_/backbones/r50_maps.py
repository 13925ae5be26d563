"""A plain ResNet-50 that gives the maps of all four stages (strides 4 to 32), for a decoder."""
_base_ = './r50.py'

network = dict(backbone=dict(out_indices=(0, 1, 2, 3)))
