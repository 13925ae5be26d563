"""MoCoFCN, the segmentation network of MoCo's authors (1911.05722, appendix), on a ResNet-50.

Output stride 16; two 3x3 convolutions of 256 channels at dilation 6 and a 1x1 classifier.
"""
_base_ = ['./plain_resnet.py', 'mmseg::_base_/models/fcn_r50-d8.py']

output_stride_16 = dict(strides=(1, 2, 2, 1), dilations=(1, 1, 1, 2), contract_dilation=True)
head = dict(channels=256, num_convs=2, dilation=6, concat_input=False, dropout_ratio=0)
model = dict(
    _base_.plain_r50,
    backbone=dict(_base_.plain_r50.backbone, **output_stride_16),
    decode_head=dict(head, align_corners=True))
