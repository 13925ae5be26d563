"""Does a match by geometry help DenseCL over MoCo v2, with 7 x 7 cells at the loss? Three seeds.

Generated scenes; C4 at stride 16 is learnt on views of 104 pixels. MoCo v2 is the same network and
recipe without the cells' loss.
Data: data/shapes, generated on first use.
Command: python tools/run_table.py configs/tables/geometry.py --processes 1
"""
_cells = {
    'model.backbone.num_stages': 3, 'model.backbone.strides': (1, 2, 2),
    'model.backbone.dilations': (1, 1, 1), 'model.backbone.out_indices': (2,),
    'model.projector.in_channels': 256, 'model.dense_projector.in_channels': 256}
_seven = {**_cells, 'train_dataloader.batch_size': 32,
          'train_dataloader.dataset.pipeline.2.views.0.0.size': 104}
_base = '../densecl_r18_shapes.py'
rows = [
    dict(name='random', pretrain=None, evaluate=_base),
    dict(name='MoCo v2', pretrain=_base, options={**_seven, 'model.dense_weight': 0.0}),
    dict(name='DenseCL', pretrain=_base, options=_seven),
    dict(name='DenseCL, geometry', pretrain=_base,
         options={**_seven, 'model.matcher.type': 'mmdense.GeometryMatcher'}),
]
evaluate = dict(
    options=_cells,
    protocols=['knn', 'linear', 'correspondence', 'statistics'],
    layers=['C3', 'C4'])
seeds = [0, 1, 2]
