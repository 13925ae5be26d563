"""Patch-level rotation for a few hundred images and steps, on a ResNet-18 of ``r18_s8.py``.

The decoder joins C4 and C5 at C4's size (stride 8), so that a patch of 15 pixels has cells.
"""
_base_ = '../plr.py'

model = dict(decode_head=dict(
    in_channels=[256, 512], in_index=[0, 1], input_transform='resize_concat', channels=128,
    num_convs=1, dilation=1, align_corners=False))
