"""DenseCL on a plain ResNet-18 for a few hundred images and steps.

What changes beside the widths is what ``recipe = 'auto'`` sets from the data; these values start
there, so that the config also runs where nobody applies the recipe.
"""
_base_ = './densecl_r50.py'

model = dict(
    backbone=dict(depth=18),
    # ours: without BatchNorm here, what all images share drowns what tells them apart for longer
    # than a small run lasts
    projector=dict(in_channels=512, hidden_channels=512, norm_cfg=dict(type='BN')),
    dense_projector=dict(in_channels=512, hidden_channels=512, norm_cfg=dict(type='BN')),
    queue=dict(size=1024, own_image='masked', init='empty'),
    twin=dict(momentum=0.9),
    dense_warmup=200)
