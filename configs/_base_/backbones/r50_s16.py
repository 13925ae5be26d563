"""ResNet-50 whose last stage keeps its size and is dilated (output stride 16)."""
_base_ = './r50.py'

network = dict(backbone=dict(
    strides=(1, 2, 2, 1), dilations=(1, 1, 1, 2), contract_dilation=True))
