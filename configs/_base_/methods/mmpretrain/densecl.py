"""mmpretrain's DenseCL as its densecl_resnet50_8xb32-coslr-200e_in1k.py has it, on a ResNet-18.

Beside its type, neck and ``loss_lambda`` it is mmpretrain's MoCo v2. The dense loss counts from
the first step: mmpretrain's config has no warm-up.
"""
_base_ = './mocov2.py'

model = dict(
    type='mmpretrain.DenseCL',
    loss_lambda=0.5,
    neck=dict(
        _delete_=True,
        type='DenseCLNeck',
        in_channels=512,
        hid_channels=2048,
        out_channels=128,
        num_grid=None))
find_unused_parameters = True
