"""Regions of an image, and the views that DetCon makes of it (2103.10957; BYOL's, 2006.07733).

Kinds of regions stand between what loads an image and its views: ``fh`` and ``grid`` are made
on the fly, ``labels`` come after an image's annotations. The published views have one draw of the
crop, clamped, and bicubic pixels; ours are torchvision's draw, and bilinear.
"""
# what docs/regions.md recommends; DetCon's own scale and size are in the region files
fh = [dict(type='mmdense.MakeRegions', sources=dict(method='fh', scale=300, min_size=0.0065))]
grid = [dict(type='mmdense.MakeRegions', sources=dict(method='grid', cells=5))]
labels = [dict(type='mmdense.RegionsFromAnnotations')]
# a third view for clustered regions: the whole image in its own colours
whole_448 = [dict(type='Resize', scale=(448, 448))]

byol = [
    dict(type='mmdense.RandomResizedCrop', size=224, area=(0.08, 1.0), aspect=(3 / 4, 4 / 3)),
    dict(type='mmdense.RandomFlip', prob=0.5),
    dict(type='mmdense.ColorJitter', brightness=0.4, contrast=0.4, saturation=0.2, hue=0.1,
         prob=0.8),
    dict(type='mmdense.RandomGrayscale', prob=0.2),
]
byol_first = [*byol, dict(type='mmdense.GaussianBlur', sigma=(0.1, 2.0), prob=1.0)]
byol_second = [
    *byol,
    dict(type='mmdense.GaussianBlur', sigma=(0.1, 2.0), prob=0.1),
    dict(type='mmdense.Solarize', threshold=128, prob=0.2),
]
byol_224 = [
    dict(type='mmdense.MultiView', views=[byol_first, byol_second]),
    dict(type='mmdense.PackViews'),
]
byol_224_whole = [
    dict(type='mmdense.MultiView', views=[byol_first, byol_second, whole_448]),
    dict(type='mmdense.PackViews'),
]
# the student's view, and the whole image in its own colours for a frozen teacher
taught_224 = [
    dict(type='mmdense.MultiView', views=[byol_second, [dict(type='Resize', scale=(224, 224))]]),
    dict(type='mmdense.PackViews'),
]
