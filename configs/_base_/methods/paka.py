"""PaKA (2509.05606): cells aligned with a twin's; with ``r50_s16.py``, from a start.

Of the paper we know the loss, not its settings: momentum, views, rate and length are ours, *not
verified*.
"""
model = dict(
    type='mmdense.PaKA',
    # what a run of another method has learnt; None = random, from which it learns places
    backbone=dict(init_cfg=dict(type='mmdense.PretrainedBackbone', checkpoint=None)),
    twin=dict(momentum=0.999, bn='plain'),
    loss=dict(type='mmdense.KernelAlignmentLoss'),
    symmetric=True)
