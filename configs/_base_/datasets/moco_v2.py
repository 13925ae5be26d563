"""Two views of an image as MoCo v2 makes them (2003.04297, sec. 3; DenseCL does the same).

A dataset's pipeline is ``load``, what its images need, and ``views_224`` or, milder and ours,
``views_96``, ``views_64`` or ``views_56``. Batches are stacked where they are made.
"""
train_dataloader = dict(collate_fn=dict(type='mmdense.collate_views'), pin_memory=True)

load = [dict(type='mmdense.SeedSample'), dict(type='mmdense.LoadImage')]

crop = dict(type='mmdense.RandomResizedCrop', area=(0.2, 1.0), aspect=(3 / 4, 4 / 3))
photometric = [
    dict(type='mmdense.RandomFlip', prob=0.5),
    dict(type='mmdense.ColorJitter', brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1,
         prob=0.8),
    dict(type='mmdense.RandomGrayscale', prob=0.2),
    dict(type='mmdense.GaussianBlur', sigma=(0.1, 2.0), prob=0.5),
]
views_224 = [
    dict(type='mmdense.MultiView', views=[[dict(crop, size=224), *photometric]], num_views=[2]),
    dict(type='mmdense.PackViews'),
]
# Ours, for runs of a few hundred steps: with the published colour changes the two views of an image
# are no more alike than those of different images, and 400 steps do not get past that.
mild = [
    dict(type='mmdense.RandomFlip', prob=0.5),
    dict(type='mmdense.ColorJitter', brightness=0.2, contrast=0.2, saturation=0.2, hue=0.05,
         prob=0.8),
]
mild_crop = dict(crop, area=(0.4, 1.0))
views_96 = [
    dict(type='mmdense.MultiView', views=[[dict(mild_crop, size=96), *mild]], num_views=[2]),
    dict(type='mmdense.PackViews'),
]
views_64 = [
    dict(type='mmdense.MultiView', views=[[dict(mild_crop, size=64), *mild]], num_views=[2]),
    dict(type='mmdense.PackViews'),
]
views_56 = [
    dict(type='mmdense.MultiView', views=[[dict(mild_crop, size=56), *mild]], num_views=[2]),
    dict(type='mmdense.PackViews'),
]
