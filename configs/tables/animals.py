"""The rows of geometry.py on photos, 400 steps of 32, one seed.

C4 at stride 16 has the cells, 7 x 7 on views of 112 pixels. MoCo v2 is DenseCL without the loss of
the cells.
Data: data/voc_animals.
Command: python tools/run_table.py configs/tables/animals.py --processes 1
"""
_network = ['../_base_/pretrain_runtime.py', '../_base_/methods/small/densecl.py',
            '../_base_/backbones/r18.py', '../_base_/datasets/unlabelled_animals.py',
            '../_base_/datasets/frozen_animals.py', '../_base_/schedules/auto.py']
_cells = {'model': '_base_.network', 'model.backbone.out_indices': (2, 3),
          'default_hooks.checkpoint.interval': 200}
# the pass with labels is the table's own evaluation
_config = [*_network, {**_cells, 'train_cfg.val_interval': 1000}]
_reflect = {'model.backbone.conv_cfg': dict(type='Conv2d', padding_mode='reflect')}
_geometry = {'model.matcher.type': 'mmdense.GeometryMatcher'}
rows = [
    dict(name='random', pretrain=None),
    dict(name='MoCo v2', pretrain=_config, options={'model.dense_weight': 0.0}),
    dict(name='DenseCL', pretrain=_config),
    dict(name='DenseCL, geometry', pretrain=_config, options=_geometry),
    dict(name='DenseCL, reflect', pretrain=[*_network, {**_config[-1], **_reflect}],
         evaluate=[*_network, {**_cells, **_reflect}]),
    dict(name='DenseCL, geometry and reflect', pretrain=[*_network, {**_config[-1], **_reflect}],
         options=_geometry, evaluate=[*_network, {**_cells, **_reflect}]),
]
evaluate = dict(
    config=[*_network, _cells],
    protocols=['linear', 'correspondence', 'statistics'],
    layers=['C3', 'C4', 'C5'])
seeds = [0]
