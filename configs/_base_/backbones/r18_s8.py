"""ResNet-18 for small views: C4 keeps C3's size (stride 8), so 56 pixels are 7 x 7 cells there.

C5 (stride 16) is for what is pooled; methods of cells take C4 by ``cell_index``.
"""
_base_ = './r18.py'

network = dict(backbone=dict(strides=(1, 2, 1, 2), out_indices=(2, 3)))
