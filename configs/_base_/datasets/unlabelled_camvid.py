"""CamVid's 266 images of two drives at 240x180, without labels, 32 per step on 2 processes.

The drive that is scored (``newdrive.txt``) is not among them.
"""
_base_ = './moco_v2.py'

train_dataloader = dict(
    batch_size=16,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='mmdense.ResumableSampler', shuffle=True),
    dataset=dict(
        type='mmdense.UnlabelledDataset',
        dataset=dict(type='mmdense.CamVidDataset', data_root='data/camvid',
                     ann_file='splits/bank.txt'),
        pipeline=[*_base_.load, dict(type='Resize', scale=(240, 180)), *_base_.views_96]))
