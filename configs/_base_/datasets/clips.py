"""Frames of clips with their motion masks, 256 per step on 8 processes.

``data/clips/frames`` has a folder of frames for each clip, ``data/clips/motion`` the masks, by
``python tools/make_motion_masks.py data/clips/frames data/clips/motion``.
"""
_base_ = './moco_v2.py'

train_dataloader = dict(
    batch_size=32,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='mmdense.ResumableSampler', shuffle=True),
    dataset=dict(
        type='mmdense.UnlabelledDataset',
        data_root='data/clips/frames',
        pipeline=[
            *_base_.load,
            dict(type='mmdense.LoadRegions', images='data/clips/frames',
                 folder='data/clips/motion', source='tools/make_motion_masks.py'),
            dict(type='mmdense.MultiView', views=[[
                dict(_base_.crop, size=224),
                dict(type='mmdense.RandomFlip', prob=0.5)]]),
            dict(type='mmdense.PackViews'),
        ]))
