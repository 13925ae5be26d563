"""Relative position (1505.05192; a smaller head than 1708.07860's); ``pipeline_relative_position``.

Patches of 96 pixels, half a patch between them, moved by up to 7. Two layers instead of the two
residual units of the paper; the numbers are from memory, *not verified*.
"""
model = dict(
    type='mmdense.RelativePosition',
    head=dict(type='mmdense.Projector', hidden_channels=4096, norm_cfg=dict(type='BN')))
