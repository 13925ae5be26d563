"""Few cells at the loss, padding, or the match: what lets a small network find places? Three seeds.

Generated scenes. The cells are C4's, 7 x 7 on views of 56 pixels, beside whole images from C5;
`4 x 4` is the config itself, C5's at stride 16 on views of 64. MoCo v2 is DenseCL without the loss
of the cells.
Data: data/shapes, generated on first use.
Command: python tools/run_table.py configs/tables/geometry.py --processes 1
"""
_base = '../densecl_r18_shapes.py'
_batch = {'train_dataloader.batch_size': 32}
_cells = {'model.backbone.strides': (1, 2, 1, 2), 'model.backbone.out_indices': (2, 3),
          'model.cell_index': -2, 'train_dataloader.dataset.pipeline': '_base_.pipeline_cells'}
_geometry = {'model.matcher.type': 'mmdense.GeometryMatcher'}
_reflect = {'model.backbone.conv_cfg': dict(type='Conv2d', padding_mode='reflect')}
_seven, _mirrored = [_base, _cells], [_base, {**_cells, **_reflect}]
rows = [
    dict(name='random', pretrain=None),
    dict(name='MoCo v2', pretrain=_seven, options={**_batch, 'model.dense_weight': 0.0}),
    dict(name='DenseCL', pretrain=_seven, options=_batch),
    dict(name='DenseCL, geometry', pretrain=_seven, options={**_batch, **_geometry}),
    dict(name='DenseCL, reflect', pretrain=_mirrored, options=_batch, evaluate=_mirrored),
    dict(name='DenseCL, geometry and reflect', pretrain=_mirrored,
         options={**_batch, **_geometry}, evaluate=_mirrored),
    dict(name='DenseCL, 4 x 4', pretrain=_base, options=_batch),
]
evaluate = dict(
    config=[_base, _cells],
    protocols=['knn', 'linear', 'correspondence', 'statistics'],
    layers=['C3', 'C4', 'C5'])
seeds = [0, 1, 2]
