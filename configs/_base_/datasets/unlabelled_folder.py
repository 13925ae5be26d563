"""All images under a folder, 256 per step on 8 processes; the config sets ``dataset.data_root``."""
_base_ = './moco_v2.py'

train_dataloader = dict(
    batch_size=32,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='mmdense.ResumableSampler', shuffle=True),
    dataset=dict(
        type='mmdense.UnlabelledDataset',
        data_root=None,
        pipeline=_base_.load + _base_.views_224))
