"""CamVid's 266 images of two drives at 240x180, without labels, 32 per step on 2 processes.

The drive that is scored (``newdrive.txt``) is not among them. For a method with regions a config
takes a ``pipeline_…``; ``labelled`` is the dataset whose labels are the regions.
"""
_base_ = ['./moco_v2.py', './region_views.py']

_small = [dict(type='Resize', scale=(240, 180))]
_view = [dict(_base_.mild_crop, size=96), *_base_.mild]
pipeline_fh = [*_base_.load, *_small, *_base_.fh, *_base_.views_96]
pipeline_grid = [*_base_.load, *_small, *_base_.grid, *_base_.views_96]
pipeline_clustered = [
    *_base_.load, *_small,
    dict(type='mmdense.MultiView', views=[_view, _view, [dict(type='Resize', scale=(128, 96))]]),
    dict(type='mmdense.PackViews'),
]
pipeline_soft = [*_base_.load, *_small, *_base_.views_96]
labelled = dict(
    type='mmdense.CamVidDataset',
    data_root='data/camvid',
    ann_file='splits/bank.txt',
    pipeline=[*_base_.load, dict(type='LoadAnnotations'), *_small, *_base_.labels,
              *_base_.views_96])
train_dataloader = dict(
    batch_size=16,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='mmdense.ResumableSampler', shuffle=True),
    dataset=dict(
        type='mmdense.UnlabelledDataset',
        dataset=dict(type='mmdense.CamVidDataset', data_root='data/camvid',
                     ann_file='splits/bank.txt'),
        pipeline=[*_base_.load, *_small, *_base_.views_96]))
