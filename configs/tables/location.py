"""Places as instances: which negatives, cells or patches, with or without the guard? And CP2.

One seed. Generated scenes, ResNet-18 at stride 16, C5; the auto recipe at 400 steps of 32 images.
Data: data/shapes, generated on first use.
Command: python tools/run_table.py configs/tables/location.py
"""
_common = [
    '../_base_/pretrain_runtime.py',
    '../_base_/backbones/r18_s16.py',
    '../_base_/datasets/unlabelled_shapes.py',
    '../_base_/datasets/frozen_shapes.py',
    '../_base_/schedules/auto.py',
]
_settings = {'model': '_base_.network', 'default_hooks.checkpoint.interval': 100}
_location = [*_common, '../_base_/methods/small/location.py', _settings]
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
        *_location[:-1], {**_settings, 'model.instances': 'patches', 'model.num_grid': 4}]),
    dict(name='CP2', pretrain=[*_common, '../_base_/methods/small/cp2.py', _settings]),
]
evaluate = dict(
    config=_densecl,
    protocols=['knn', 'linear', 'correspondence', 'statistics'],
    layers=['C3', 'C4', 'C5'])
seeds = [0]
