"""Frozen evaluation on generated scenes: dense k-NN from the 60 labelled to the 150 val scenes."""
pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
val_cfg = dict(
    type='mmdense.DenseKNNValLoop',
    k=30,
    beta=0.02,
    stride=8,
    memory_size=102_400,
    memory=dict(
        batch_size=10,
        num_workers=1,
        dataset=dict(
            type='mmdense.ShapesDataset',
            data_root='data/shapes',
            ann_file='ImageSets/Segmentation/labelled.txt',
            pipeline=pipeline)))
test_cfg = dict(val_cfg, type='mmdense.DenseKNNTestLoop')
val_dataloader = dict(
    batch_size=10,
    num_workers=1,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(val_cfg['memory']['dataset'], ann_file='ImageSets/Segmentation/val.txt'))
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
