"""Two views of an image by mmpretrain's own transforms, as its imagenet_bs32_mocov2.py makes them.

Changed is the size of the views: 96 pixels for CamVid, 64 for scenes. mmengine's
``default_collate`` stacks them.
"""
_load = [dict(type='mmdense.SeedSample'), dict(type='mmdense.LoadImage')]
_crop = dict(
    type='mmpretrain.RandomResizedCrop', crop_ratio_range=(0.2, 1.0), backend='pillow')
_changes = [
    dict(type='mmpretrain.RandomApply',
         transforms=[dict(type='mmpretrain.ColorJitter', brightness=0.4, contrast=0.4,
                          saturation=0.4, hue=0.1)],
         prob=0.8),
    dict(type='mmpretrain.RandomGrayscale', prob=0.2, keep_channels=True,
         channel_weights=(0.114, 0.587, 0.2989)),
    dict(type='mmpretrain.GaussianBlur', magnitude_range=(0.1, 2.0), magnitude_std='inf',
         prob=0.5),
    dict(type='mmpretrain.RandomFlip', prob=0.5),
]
pipeline_mmpretrain_96 = [
    *_load,
    dict(type='Resize', scale=(240, 180)),
    dict(type='mmpretrain.MultiView', num_views=2,
         transforms=[[dict(_crop, scale=96), *_changes]]),
    dict(type='mmpretrain.PackInputs'),
]
pipeline_mmpretrain_64 = [
    *_load,
    dict(type='mmpretrain.MultiView', num_views=2,
         transforms=[[dict(_crop, scale=64), *_changes]]),
    dict(type='mmpretrain.PackInputs'),
]
