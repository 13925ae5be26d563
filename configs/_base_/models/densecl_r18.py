"""DenseCL on a plain ResNet-18 for a few hundred images and steps.

What changes beside the widths is what ``recipe = 'auto'`` sets from the data; these values start
there, so that the config also runs where nobody applies the recipe.
"""
_base_ = './densecl_r50.py'

model = dict(
    backbone=dict(depth=18),
    projector=dict(in_channels=512, hidden_channels=512),
    dense_projector=dict(in_channels=512, hidden_channels=512),
    queue=dict(size=128, own_image='masked', init='empty'),
    twin=dict(momentum=0.975),
    dense_warmup=20)
