"""Places as instances: which negatives, cells or patches, with or without the guard?

One seed, in the setting of methods.py, which has the row with the defaults: 8 x 8 cells of C5.
Data: data/shapes, generated on first use.
Command: python tools/run_table.py configs/tables/location.py --processes 1 \
    --add docs/benchmarks/small/methods.json
"""
_densecl = '../densecl_r18_shapes.py'
_location = [
    '../_base_/pretrain_runtime.py',
    '../_base_/backbones/r18_s8.py',
    '../_base_/datasets/unlabelled_shapes.py',
    '../_base_/datasets/frozen_shapes.py',
    '../_base_/schedules/auto.py',
    '../_base_/methods/small/location.py',
    {'model': '_base_.network', 'default_hooks.checkpoint.interval': 100,
     'model.backbone.strides': (1, 2, 1, 1), 'model.backbone.out_indices': (3,)},
]
_batch = {'train_dataloader.batch_size': 32}
rows = [
    dict(name='location, own image', pretrain=_location,
         options={**_batch, 'model.negatives': 'image'}),
    dict(name='location, other images', pretrain=_location,
         options={**_batch, 'model.negatives': 'batch'}),
    dict(name='location, no guard', pretrain=_location,
         options={**_batch, 'model.threshold': 0.0}),
    dict(name='location, patches', options=_batch, pretrain=[
        *_location[:-1], {**_location[-1], 'model.instances': 'patches', 'model.num_grid': 4}]),
]
evaluate = dict(
    config=_densecl,
    protocols=['knn', 'linear', 'statistics'],
    layers=['C3', 'C4', 'C5'])
seeds = [0]
