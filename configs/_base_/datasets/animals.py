"""Photos of animals and people: 195 labelled ones to train on, 222 to score.

``ann_file='splits/train_1of64.txt'`` has 48 labels, ``'splits/train.txt'`` all 3,131.
"""
num_classes = 7
crop_size = (160, 160)
_classes = ('background', 'cat', 'cow', 'dog', 'horse', 'person', 'sheep')
train_pipeline = [
    dict(type='mmdense.SeedSample'),
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomResize', scale=(320, 320), ratio_range=(0.5, 1.25), keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.9),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
_photos = dict(
    type='BaseSegDataset',
    data_root='data/voc_animals',
    data_prefix=dict(img_path='images', seg_map_path='annotations'),
    metainfo=dict(classes=_classes))
train_dataloader = dict(
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='mmdense.ResumableSampler', shuffle=True),
    dataset=dict(_photos, ann_file='splits/train_1of16.txt', pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(_photos, ann_file='splits/val.txt', pipeline=test_pipeline))
test_dataloader = val_dataloader

val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
