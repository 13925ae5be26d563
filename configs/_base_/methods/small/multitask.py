"""Turned patches, relative position, exemplar and colours at once, on a ResNet-18 of ``r18_s8.py``.

The settings of each task are those of its own small base.
"""
_base_ = '../mocofcn_decoder.py'

# C4 and C5 together, at C4's size
_maps = dict(in_channels=[256, 512], in_index=[0, 1], input_transform='resize_concat',
             channels=128, num_convs=1, dilation=1, align_corners=False)
turned = dict(type='mmdense.PatchRotation', decode_head=dict(_base_.mocofcn.decode_head, **_maps),
              level='pixel')
position = dict(type='mmdense.RelativePosition', head=dict(
    type='mmdense.Projector', hidden_channels=512, norm_cfg=dict(type='BN')))
exemplar = dict(type='mmdense.Exemplar', projector=dict(
    type='mmdense.Projector', hidden_channels=512, out_channels=128, norm_cfg=dict(type='BN')))
colour = dict(
    type='mmdense.Colorization', head=dict(type='mmdense.Projector', hidden_channels=256),
    decode_head=dict(type='FCNHead', concat_input=False, norm_cfg=dict(type='BN'), **{
        key: value for key, value in _maps.items() if key != 'dilation'}))
model = dict(
    type='mmdense.MultiTask',
    tasks=dict(turned=turned, position=position, exemplar=exemplar, colour=colour))
