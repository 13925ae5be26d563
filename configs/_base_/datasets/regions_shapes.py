"""The 600 unlabelled generated scenes with regions: FH's; ``pipeline_…`` has the other kinds.

``labelled`` is the dataset that the ``labels`` kind needs.
"""
_base_ = ['./unlabelled_shapes.py', './region_views.py']

_view = [dict(_base_.mild_crop, size=64), *_base_.mild]
_with_whole = [
    dict(type='mmdense.MultiView', views=[_view, _view, [dict(type='Resize', scale=(96, 96))]]),
    dict(type='mmdense.PackViews'),
]
pipeline_grid = [*_base_.load, *_base_.grid, *_base_.views_64]
pipeline_clustered = [*_base_.load, *_with_whole]
pipeline_soft = [*_base_.load, *_base_.views_64]
labelled = dict(
    type='mmdense.ShapesDataset',
    data_root='data/shapes',
    ann_file='ImageSets/Segmentation/unlabelled.txt',
    pipeline=[*_base_.load, dict(type='LoadAnnotations'), *_base_.labels, *_base_.views_64])
train_dataloader = dict(
    dataset=dict(pipeline=[*_base_.load, *_base_.fh, *_base_.views_64]))
