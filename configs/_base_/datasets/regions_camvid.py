"""CamVid's 266 images of two drives with regions: FH's; ``pipeline_…`` has the other kinds.

``labelled`` is the dataset that the ``labels`` kind needs.
"""
_base_ = ['./unlabelled_camvid.py', './region_views.py']

_small = [dict(type='Resize', scale=(240, 180))]
_view = [dict(_base_.mild_crop, size=96), *_base_.mild]
_with_whole = [
    dict(type='mmdense.MultiView', views=[_view, _view, [dict(type='Resize', scale=(128, 96))]]),
    dict(type='mmdense.PackViews'),
]
pipeline_grid = [*_base_.load, *_small, *_base_.grid, *_base_.views_96]
pipeline_clustered = [*_base_.load, *_small, *_with_whole]
pipeline_soft = [*_base_.load, *_small, *_base_.views_96]
labelled = dict(
    type='mmdense.CamVidDataset',
    data_root='data/camvid',
    ann_file='splits/bank.txt',
    pipeline=[*_base_.load, dict(type='LoadAnnotations'), *_small, *_base_.labels,
              *_base_.views_96])
train_dataloader = dict(
    dataset=dict(pipeline=[*_base_.load, *_small, *_base_.fh, *_base_.views_96]))
