"""60 labelled generated scenes of 128x128 to train on, 150 to score."""
num_classes = 7
crop_size = (96, 96)
train_pipeline = [
    dict(type='mmdense.SeedSample'),
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomResize', scale=(128, 128), ratio_range=(0.75, 1.5), keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='mmdense.ResumableSampler', shuffle=True),
    dataset=dict(
        type='mmdense.ShapesDataset',
        data_root='data/shapes',
        ann_file='ImageSets/Segmentation/labelled.txt',
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=10,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='mmdense.ShapesDataset',
        data_root='data/shapes',
        ann_file='ImageSets/Segmentation/val.txt',
        pipeline=test_pipeline))
test_dataloader = val_dataloader

val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
