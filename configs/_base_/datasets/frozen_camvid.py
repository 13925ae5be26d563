"""Frozen evaluation on CamVid at 240x180: dense k-NN from an eighth of two drives to a new drive.

At most 300 cells of an image in the memory, rare classes first; scores are at the labels' full
480x360. Cells of 8 pixels in tools/test.py and tools/evaluate.py, of 16 in the pass while
training, which takes 10 seconds so, instead of 23.
"""
pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(240, 180)),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
val_cfg = dict(
    type='mmdense.DenseKNNValLoop',
    k=30,
    beta=0.02,
    stride=16,
    memory_size=10_200,
    memory=dict(
        batch_size=8,
        num_workers=1,
        dataset=dict(
            type='mmdense.CamVidDataset',
            data_root='data/camvid',
            ann_file='splits/bank_1of8.txt',
            pipeline=pipeline)))
test_cfg = dict(val_cfg, type='mmdense.DenseKNNTestLoop', stride=8)
val_dataloader = dict(
    batch_size=8,
    num_workers=1,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(val_cfg['memory']['dataset'], ann_file='splits/newdrive.txt'))
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
