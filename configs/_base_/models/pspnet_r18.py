"""mmseg's PSPNet at output stride 8, on a plain ResNet-18, with 128 channels."""
_base_ = ['./plain_resnet.py', 'mmseg::_base_/models/pspnet_r50-d8.py']

model = _base_.plain_r18
