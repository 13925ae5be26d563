"""The rows of geometry.py on a network that ends at C4, with views of 104 pixels. Three seeds.

ResNet-18 without its last stage; C4 at stride 16 has 7 x 7 cells and is learnt by both losses.
Data: data/shapes, generated on first use.
Command: python tools/run_table.py configs/tables/geometry_c4.py --processes 1
"""
_network = ['../_base_/pretrain_runtime.py', '../_base_/methods/small/densecl.py',
            '../_base_/backbones/r18.py', '../_base_/datasets/unlabelled_shapes.py',
            '../_base_/datasets/frozen_shapes.py', '../_base_/schedules/auto.py']
_c4 = {'model': '_base_.network', 'model.backbone.num_stages': 3,
       'model.backbone.strides': (1, 2, 2), 'model.backbone.dilations': (1, 1, 1),
       'model.backbone.out_indices': (2,), 'default_hooks.checkpoint.interval': 100}
_reflect = {**_c4, 'model.backbone.conv_cfg': dict(type='Conv2d', padding_mode='reflect')}
_views = {'train_dataloader.batch_size': 32,
          'train_dataloader.dataset.pipeline.2.views.0.0.size': 104}
_geometry = {**_views, 'model.matcher.type': 'mmdense.GeometryMatcher'}
rows = [
    dict(name='random', pretrain=None),
    dict(name='MoCo v2', pretrain=[*_network, _c4], options={**_views, 'model.dense_weight': 0.0}),
    dict(name='DenseCL', pretrain=[*_network, _c4], options=_views),
    dict(name='DenseCL, geometry', pretrain=[*_network, _c4], options=_geometry),
    dict(name='DenseCL, reflect', pretrain=[*_network, _reflect], options=_views,
         evaluate=[*_network, _reflect]),
    dict(name='DenseCL, geometry and reflect', pretrain=[*_network, _reflect],
         options=_geometry, evaluate=[*_network, _reflect]),
]
evaluate = dict(
    config=[*_network, _c4],
    protocols=['knn', 'linear', 'correspondence', 'statistics'],
    layers=['C3', 'C4'])
seeds = [0, 1, 2]
