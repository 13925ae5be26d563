"""Frozen evaluation on VOC 2012: dense k-NN from train (1,464 images) to val (1,449) at 512x512.

Cells of 16 pixels, 102,400 of them in memory. To add it to a pretraining config without labels,
write a config whose ``_base_`` is that config and this file.
"""
pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(512, 512)),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
val_cfg = dict(
    type='mmdense.DenseKNNValLoop',
    k=30,
    beta=0.02,
    stride=16,
    memory_size=102_400,
    memory=dict(
        batch_size=8,
        num_workers=4,
        dataset=dict(
            type='PascalVOCDataset',
            data_root='data/VOCdevkit/VOC2012',
            data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClass'),
            ann_file='ImageSets/Segmentation/train.txt',
            pipeline=pipeline)))
test_cfg = dict(val_cfg, type='mmdense.DenseKNNTestLoop')
val_dataloader = dict(
    batch_size=8,
    num_workers=4,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(val_cfg['memory']['dataset'], ann_file='ImageSets/Segmentation/val.txt'))
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
