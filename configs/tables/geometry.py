"""Few cells at the loss, padding, or the match: what lets a small network find places? Three seeds.

Generated scenes. The cells are C4's, 7 x 7 on views of 56 pixels, as in the config itself; `4 x 4`
takes C5's at stride 16 on views of 64. MoCo v2 is DenseCL without the loss of the cells.
Data: data/shapes, generated on first use.
Command: python tools/run_table.py configs/tables/geometry.py --processes 1
"""
_base = '../densecl_r18_shapes.py'
_batch = {'train_dataloader.batch_size': 32}
_geometry = {'model.matcher.type': 'mmdense.GeometryMatcher'}
_reflect = {'model.backbone.conv_cfg': dict(type='Conv2d', padding_mode='reflect')}
_four = {'model.backbone.strides': (1, 2, 2, 1), 'model.cell_index': -1,
         'train_dataloader.dataset.pipeline.2.views.0.0.size': 64}
rows = [
    dict(name='random', pretrain=None),
    dict(name='MoCo v2', pretrain=_base, options={**_batch, 'model.dense_weight': 0.0}),
    dict(name='DenseCL', pretrain=_base, options=_batch),
    dict(name='DenseCL, geometry', pretrain=_base, options={**_batch, **_geometry}),
    dict(name='DenseCL, reflect', pretrain=[_base, _reflect], options=_batch,
         evaluate=[_base, _reflect]),
    dict(name='DenseCL, geometry and reflect', pretrain=[_base, _reflect],
         options={**_batch, **_geometry}, evaluate=[_base, _reflect]),
    dict(name='DenseCL, 4 x 4', pretrain=_base, options={**_batch, **_four}),
]
evaluate = dict(
    config=_base,
    protocols=['knn', 'linear', 'correspondence', 'statistics'],
    layers=['C3', 'C4', 'C5'])
seeds = [0, 1, 2]
