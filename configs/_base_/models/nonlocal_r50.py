"""mmseg's Non-Local at output stride 8, on a plain ResNet-50."""
_base_ = ['./plain_resnet.py', 'mmseg::_base_/models/nonlocal_r50-d8.py']

model = _base_.plain_r50
