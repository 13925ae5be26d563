"""One view whose patches are turned, each by itself (patch-level rotation); ours.

The options are against cues that are no content: margins and jitter against seams, a change of
colour per patch against neighbours of one colour.
"""
_distort = [
    dict(type='mmdense.ColorJitter', brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1,
         prob=0.8),
    dict(type='mmdense.RandomGrayscale', prob=0.2),
]
_crop = dict(type='mmdense.RandomResizedCrop', aspect=(3 / 4, 4 / 3))
_flip = dict(type='mmdense.RandomFlip', prob=0.5)
turned_224 = [
    dict(type='mmdense.MultiView', views=[[
        dict(_crop, size=224, area=(0.2, 1.0)),
        _flip,
        dict(type='mmdense.PatchRotate', grid=(4, 4), margin=4, jitter=16, distort=_distort),
    ]]),
    dict(type='mmdense.PackViews'),
]
turned_64 = [
    dict(type='mmdense.MultiView', views=[[
        dict(_crop, size=64, area=(0.4, 1.0)),
        _flip,
        dict(type='mmdense.PatchRotate', grid=(4, 4), margin=1, jitter=4, distort=_distort),
    ]]),
    dict(type='mmdense.PackViews'),
]
