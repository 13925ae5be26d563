"""The 10,582 images of VOC 2012 trainaug without their labels, 256 per step on 8 processes."""
_base_ = './moco_v2.py'

train_dataloader = dict(
    batch_size=32,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='mmdense.ResumableSampler', shuffle=True),
    dataset=dict(
        type='mmdense.UnlabelledDataset',
        dataset=dict(
            type='PascalVOCDataset',
            data_root='data/VOCdevkit/VOC2012',
            data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClassAug'),
            ann_file='ImageSets/Segmentation/trainaug.txt'),
        pipeline=_base_.load + _base_.views_224))
