"""Views of predictive pretexts, each with what is to be predicted; a dataset has ``pipeline_…``.

``turned``: patches are turned, each by itself (ours; the options are against cues that are no
content: margins and jitter against seams, colours against neighbours alike). ``neighbours``: two
patches beside each other (1505.05192), one channel each. ``copies``: two strongly changed copies of
a patch (1708.07860, its settings are ours). ``lightness``: a view without its colours (1603.08511).
"""
_distort = [
    dict(type='mmdense.ColorJitter', brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1,
         prob=0.8),
    dict(type='mmdense.RandomGrayscale', prob=0.2),
]
_cut = dict(type='mmdense.RandomResizedCrop', aspect=(3 / 4, 4 / 3))
_flip = dict(type='mmdense.RandomFlip', prob=0.5)
turned_224 = [
    dict(type='mmdense.MultiView', views=[[
        dict(_cut, size=224, area=(0.2, 1.0)),
        _flip,
        dict(type='mmdense.PatchRotate', grid=(4, 4), margin=4, jitter=16, distort=_distort),
    ]]),
    dict(type='mmdense.PackViews'),
]
turned_64 = [
    dict(type='mmdense.MultiView', views=[[
        dict(_cut, size=64, area=(0.4, 1.0)),
        _flip,
        dict(type='mmdense.PatchRotate', grid=(4, 4), margin=1, jitter=4, distort=_distort),
    ]]),
    dict(type='mmdense.PackViews'),
]
neighbours_96 = [
    dict(type='mmdense.RelativePatches', size=96, gap=48, jitter=7,
         patch=[dict(type='mmdense.DropChannels')]),
    dict(type='mmdense.PackViews'),
]
neighbours_32 = [
    dict(type='mmdense.RelativePatches', size=32, gap=8, jitter=4,
         patch=[dict(type='mmdense.DropChannels')]),
    dict(type='mmdense.PackViews'),
]
_strong = [
    _flip,
    dict(type='mmdense.ColorJitter', brightness=0.6, contrast=0.6, saturation=0.6, hue=0.2,
         prob=1.0),
    dict(type='mmdense.RandomGrayscale', prob=0.2),
    dict(type='mmdense.GaussianBlur', sigma=(0.1, 2.0), prob=0.5),
]
copies_96 = [
    dict(type='mmdense.MultiView', num_views=[2], min_overlap=0.3, views=[[
        dict(_cut, size=96, area=(0.05, 0.3)), *_strong]]),
    dict(type='mmdense.PackViews'),
]
copies_32 = [
    dict(type='mmdense.MultiView', num_views=[2], min_overlap=0.3, views=[[
        dict(_cut, size=32, area=(0.1, 0.4)), *_strong]]),
    dict(type='mmdense.PackViews'),
]
lightness_224 = [
    dict(type='mmdense.MultiView', views=[[
        dict(_cut, size=224, area=(0.2, 1.0)), _flip,
        dict(type='mmdense.ColourTarget', stride=4)]]),
    dict(type='mmdense.PackViews'),
]
lightness_64 = [
    dict(type='mmdense.MultiView', views=[[
        dict(_cut, size=64, area=(0.4, 1.0)), _flip,
        dict(type='mmdense.ColourTarget', stride=4)]]),
    dict(type='mmdense.PackViews'),
]
