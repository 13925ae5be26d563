"""What fine-tuning changes in mmseg's stock models, in one place.

Pretrained weights are those of a plain ResNet with a 7x7 stem: mmseg's bases have ResNetV1c, into
which they load with a random stem. ``init_cfg.checkpoint`` takes any pretrained checkpoint, None
starts from random weights. There is no auxiliary head.
"""
plain_r50 = dict(
    pretrained=None,
    backbone=dict(
        type='ResNet',
        init_cfg=dict(type='mmdense.PretrainedBackbone', checkpoint=None)),
    auxiliary_head=None)
# plain BatchNorm: it also runs on CPU processes, with any tool
plain_r18 = dict(
    pretrained=None,
    backbone=dict(
        type='ResNet',
        depth=18,
        norm_cfg=dict(type='BN'),
        init_cfg=dict(type='mmdense.PretrainedBackbone', checkpoint=None)),
    decode_head=dict(in_channels=512, channels=128, norm_cfg=dict(type='BN')),
    auxiliary_head=None)
