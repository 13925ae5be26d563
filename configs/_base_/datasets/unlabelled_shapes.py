"""The 600 unlabelled generated scenes of 128x128, 32 per step on 2 processes."""
_base_ = './moco_v2.py'

train_dataloader = dict(
    batch_size=16,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='mmdense.ResumableSampler', shuffle=True),
    dataset=dict(
        type='mmdense.UnlabelledDataset',
        dataset=dict(type='mmdense.ShapesDataset', data_root='data/shapes',
                     ann_file='ImageSets/Segmentation/unlabelled.txt'),
        pipeline=_base_.load + _base_.views_64))
