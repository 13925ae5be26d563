"""The 600 unlabelled generated scenes of 128x128, 32 per step on 2 processes.

``pipeline_cells`` has views of 56 pixels, 7 x 7 cells of stride 8, all others of 64. For a method
with regions a config takes a ``pipeline_…``; ``labelled`` is the dataset whose labels are the
regions. Predictive pretexts have
their own, such as ``pipeline_plr``. ``pipeline_explicit`` has greyscale and blur there to be
switched on; places in its ``2.views.0``: 0 crop, 1 flip, 2 colour, 3 greyscale, 4 blur.
"""
_base_ = ['./moco_v2.py', './region_views.py', './pretext_views.py']

_view = [dict(_base_.mild_crop, size=64), *_base_.mild]
pipeline_cells = [*_base_.load, *_base_.views_56]
pipeline_fh = [*_base_.load, *_base_.fh, *_base_.views_64]
pipeline_grid = [*_base_.load, *_base_.grid, *_base_.views_64]
pipeline_clustered = [
    *_base_.load,
    dict(type='mmdense.MultiView', views=[_view, _view, [dict(type='Resize', scale=(96, 96))]]),
    dict(type='mmdense.PackViews'),
]
pipeline_soft = [*_base_.load, *_base_.views_64]
pipeline_plr = [*_base_.load, *_base_.turned_64]
pipeline_relative_position = [*_base_.load, *_base_.neighbours_32]
pipeline_exemplar = [*_base_.load, *_base_.copies_32]
pipeline_colorization = [*_base_.load, *_base_.lightness_64]
pipeline_explicit = [
    *_base_.load,
    dict(type='mmdense.MultiView', num_views=[2], views=[[
        *_view,
        dict(type='mmdense.RandomGrayscale', prob=0.0),
        dict(type='mmdense.GaussianBlur', sigma=(0.1, 2.0), prob=0.0)]]),
    dict(type='mmdense.PackViews'),
]
labelled = dict(
    type='mmdense.ShapesDataset',
    data_root='data/shapes',
    ann_file='ImageSets/Segmentation/unlabelled.txt',
    pipeline=[*_base_.load, dict(type='LoadAnnotations'), *_base_.labels, *_base_.views_64])
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
