"""Frozen evaluation on data/voc_animals: dense k-NN from 195 labelled photos to 222 of val.

Cells of 8 pixels in tools/test.py and tools/evaluate.py, where it takes a quarter of an hour on a
CPU; of 32, and fewer in the memory, in the pass while training.
"""
classes = ('background', 'cat', 'cow', 'dog', 'horse', 'person', 'sheep')
pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
val_cfg = dict(
    type='mmdense.DenseKNNValLoop',
    k=30,
    beta=0.02,
    stride=32,
    memory_size=10_200,
    memory=dict(
        batch_size=8,
        num_workers=1,
        dataset=dict(
            type='BaseSegDataset',
            data_root='data/voc_animals',
            data_prefix=dict(img_path='images', seg_map_path='annotations'),
            ann_file='splits/train_1of16.txt',
            metainfo=dict(classes=classes),
            pipeline=pipeline)))
test_cfg = dict(val_cfg, type='mmdense.DenseKNNTestLoop', stride=8, memory_size=102_400)
val_dataloader = dict(
    batch_size=8,
    num_workers=1,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(val_cfg['memory']['dataset'], ann_file='splits/val.txt'))
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
