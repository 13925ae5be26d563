"""CP2 for a few hundred images and steps, on a ResNet-18.

What changes beside the widths is what ``recipe = 'auto'`` sets from the data.
"""
_base_ = '../cp2.py'

model = dict(
    # of some 7 x 7 cells wider dilations would see padding alone
    decode_head=dict(in_channels=512, channels=128, dilations=(1, 2)),
    projector=dict(hidden_channels=512, norm_cfg=dict(type='BN')),
    queue=dict(size=1024, own_image='masked', init='empty'),
    twin=dict(momentum=0.9))
