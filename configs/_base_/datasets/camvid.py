"""CamVid at 240x180: 34 labelled images of two drives to train on, a new drive to score.

Scores are at the labels' full 480x360.
"""
num_classes = 11
crop_size = (120, 160)
scale = (240, 180)
train_pipeline = [
    dict(type='mmdense.SeedSample'),
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomResize', scale=scale, ratio_range=(0.75, 1.5), keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=scale),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='mmdense.ResumableSampler', shuffle=True),
    dataset=dict(
        type='mmdense.CamVidDataset',
        data_root='data/camvid',
        ann_file='splits/bank_1of8.txt',
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='mmdense.CamVidDataset',
        data_root='data/camvid',
        ann_file='splits/newdrive.txt',
        pipeline=test_pipeline))
test_dataloader = val_dataloader

val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
