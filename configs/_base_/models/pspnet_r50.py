"""mmseg's PSPNet at output stride 8, on a plain ResNet-50."""
_base_ = ['./plain_resnet.py', 'mmseg::_base_/models/pspnet_r50-d8.py']

model = _base_.plain_r50
