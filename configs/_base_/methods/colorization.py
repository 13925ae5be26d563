"""Colourisation (1603.08511; head of 1708.07860); ``r50_s16.py``, ``pipeline_colorization``.

Bins of 10, five neighbours with sigma 5, rebalanced by a half; 1x1 convolutions of 4,096 channels.
From memory, *not verified*.
"""
model = dict(
    type='mmdense.Colorization',
    head=dict(type='mmdense.Projector', hidden_channels=4096),
    bin_size=10.0,
    neighbours=5,
    sigma=5.0,
    rebalance=0.5)
