"""ResNet-18 that gives C4 and C5 (strides 16 and 32), for losses of both."""
_base_ = './r18.py'

network = dict(backbone=dict(out_indices=(2, 3)))
