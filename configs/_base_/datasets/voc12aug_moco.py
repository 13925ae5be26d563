"""VOC 2012 aug as MoCo's authors use it: crops of 513, no colour distortion (1911.05722).

Training and test images have a shorter side of 513 (times 0.5 to 2.0 in training).
"""
_base_ = './voc12aug.py'

crop_size = (513, 513)
scale = (2049, 513)
train_pipeline = [
    dict(type='mmdense.SeedSample'),
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomResize', scale=scale, ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=scale, keep_ratio=True),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(
    dataset=dict(datasets=[dict(_base_.dataset_train, pipeline=train_pipeline),
                           dict(_base_.dataset_aug, pipeline=train_pipeline)]))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
