"""600 generated images of one object each with its class, one of 20, 32 per step on 2 processes.

Crops of 64 pixels, mirrored, with mild colour changes: as strong as those of ``views_64``.
"""
num_classes = 20
train_pipeline = [
    dict(type='mmdense.SeedSample'),
    dict(type='mmdense.LoadImage'),
    dict(type='mmpretrain.RandomResizedCrop', scale=64, crop_ratio_range=(0.4, 1.0)),
    dict(type='mmpretrain.RandomFlip', prob=0.5),
    dict(type='mmpretrain.RandomApply',
         transforms=[dict(type='mmpretrain.ColorJitter', brightness=0.2, contrast=0.2,
                          saturation=0.2, hue=0.05)],
         prob=0.8),
    dict(type='mmpretrain.PackInputs'),
]
train_dataloader = dict(
    batch_size=16,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='mmdense.ResumableSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='mmdense.ShapeObjectsDataset',
        data_root='data/shapes_objects',
        num_images=600,
        pipeline=train_pipeline))
