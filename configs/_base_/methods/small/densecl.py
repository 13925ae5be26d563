"""DenseCL for a few hundred images and steps, on a ResNet-18.

What changes beside the widths is what ``recipe = 'auto'`` sets from the data; these values start
there, so that the config also runs where nobody applies the recipe.
"""
_base_ = '../densecl.py'

model = dict(
    # ours: without BatchNorm here, what all images share drowns what tells them apart for longer
    # than a small run lasts
    projector=dict(hidden_channels=512, norm_cfg=dict(type='BN')),
    dense_projector=dict(hidden_channels=512, norm_cfg=dict(type='BN')),
    queue=dict(size=1024, own_image='masked', init='empty'),
    twin=dict(momentum=0.9),
    dense_warmup=200)
