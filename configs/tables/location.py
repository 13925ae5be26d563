"""Places as instances: which negatives, cells or patches, with or without the guard?

One seed. Generated scenes; the auto recipe at 400 steps of 32 images of 56 pixels. The cells are
C5's at stride 8, 7 x 7; DenseCL has 4 x 4 of stride 16, of views of 64 pixels.
Data: data/shapes, generated on first use.
Command: python tools/run_table.py configs/tables/location.py
"""
_location = [
    '../_base_/pretrain_runtime.py',
    '../_base_/methods/small/location.py',
    '../_base_/backbones/r18.py',
    '../_base_/datasets/unlabelled_shapes.py',
    '../_base_/datasets/frozen_shapes.py',
    '../_base_/schedules/auto.py',
    {'model': '_base_.network', 'model.backbone.strides': (1, 2, 1, 1),
     'train_dataloader.dataset.pipeline': '_base_.pipeline_cells',
     'default_hooks.checkpoint.interval': 100},
]
_densecl = '../densecl_r18_shapes.py'
rows = [
    dict(name='random', pretrain=None),
    dict(name='MoCo v2', pretrain=_densecl, options={'model.dense_weight': 0.0}),
    dict(name='DenseCL', pretrain=_densecl),
    dict(name='location', pretrain=_location),
    dict(name='location, no guard', pretrain=_location, options={'model.threshold': 0.0}),
    dict(name='location, other images', pretrain=_location, options={'model.negatives': 'batch'}),
    dict(name='location, own image', pretrain=_location, options={'model.negatives': 'image'}),
    dict(name='location, patches', pretrain=[
        *_location[:-1], {**_location[-1], 'model.instances': 'patches', 'model.num_grid': 4}]),
]
evaluate = dict(
    config=_densecl,
    protocols=['knn', 'linear', 'correspondence', 'statistics'],
    layers=['C3', 'C4', 'C5'])
seeds = [0]
