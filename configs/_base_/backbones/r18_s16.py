"""ResNet-18 whose last stage keeps its size (stride 16): small views have few cells."""
_base_ = './r18.py'

network = dict(backbone=dict(strides=(1, 2, 2, 1)))
