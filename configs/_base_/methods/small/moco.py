"""MoCo v2 for a few hundred images and steps, on a ResNet-18.

What changes beside the widths is what ``recipe = 'auto'`` sets from the data.
"""
_base_ = '../moco.py'

model = dict(
    projector=dict(hidden_channels=512, norm_cfg=dict(type='BN')),
    queue=dict(size=1024, own_image='masked', init='empty'),
    twin=dict(momentum=0.9))
