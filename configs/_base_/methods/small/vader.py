"""VADeR for a few hundred images and steps, on a ResNet-18 with ``r18_maps.py``.

What changes beside the widths is what ``recipe = 'auto'`` sets from the data.
"""
_base_ = '../vader.py'

model = dict(
    decode_head=dict(in_channels=[64, 128, 256, 512]),
    cell_projector=dict(norm_cfg=dict(type='BN')),
    queue=dict(size=8192, own_image='masked', init='empty'),
    twin=dict(momentum=0.9),
    loss=dict(temperature=0.2))
