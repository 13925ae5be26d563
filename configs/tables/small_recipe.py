"""What the auto recipe is made of: DenseCL on generated scenes, one setting per row, two seeds.

The first row has the auto recipe's values: queue 300, own image masked, twin momentum 0.9, twin
BatchNorm shuffled over 2 processes, crops of 40 to 100 % of the image, mild colour, no blur, the
4x4 map as it is, 600 images. A name says all that a row changes.
Data: data/shapes, generated on first use.
Command: python tools/run_table.py configs/tables/small_recipe.py
"""
# the values of the auto recipe for 600 images and 400 steps of 32, written out
_config = ['../densecl_r18_shapes.py', {
    'recipe': 'published',
    'model.queue': dict(size=300, own_image='masked', init='empty'),
    'model.twin': dict(momentum=0.9, bn='shuffle'),
    'train_dataloader.dataset.pipeline': '_base_.pipeline_explicit'}]
_view = 'train_dataloader.dataset.pipeline.2.views.0'

rows = [
    dict(name='auto values', pretrain=_config),
    dict(name='random', pretrain=None),
    # of the queries 1 % find their own image in a queue of 75, 12 % in one of 300, all in 1200
    dict(name='queue 75', pretrain=_config, options={'model.queue.size': 75}),
    dict(name='queue 1200', pretrain=_config, options={'model.queue.size': 1200}),
    dict(name='queue 4800', pretrain=_config, options={'model.queue.size': 4800}),
    dict(name='own image negative', pretrain=_config,
         options={'model.queue.own_image': 'negative'}),
    dict(name='queue 75, own image negative', pretrain=_config,
         options={'model.queue.size': 75, 'model.queue.own_image': 'negative'}),
    dict(name='queue 1200, own image negative', pretrain=_config,
         options={'model.queue.size': 1200, 'model.queue.own_image': 'negative'}),
    dict(name='queue 4800, own image negative', pretrain=_config,
         options={'model.queue.size': 4800, 'model.queue.own_image': 'negative'}),
    dict(name='twin momentum 0.5', pretrain=_config, options={'model.twin.momentum': 0.5}),
    dict(name='twin momentum 0.99', pretrain=_config, options={'model.twin.momentum': 0.99}),
    dict(name='twin momentum 0.999', pretrain=_config, options={'model.twin.momentum': 0.999}),
    dict(name='twin BatchNorm plain', pretrain=_config, options={'model.twin.bn': 'plain'}),
    dict(name='twin BatchNorm split', pretrain=_config, options={'model.twin.bn': 'split'}),
    dict(name='crops from 20 %', pretrain=_config, options={f'{_view}.0.area': (0.2, 1.0)}),
    dict(name='crops from 70 %', pretrain=_config, options={f'{_view}.0.area': (0.7, 1.0)}),
    dict(name='colour off', pretrain=_config, options={f'{_view}.2.prob': 0.0}),
    dict(name='colour and greyscale as published', pretrain=_config,
         options={f'{_view}.2.brightness': 0.4, f'{_view}.2.contrast': 0.4,
                  f'{_view}.2.saturation': 0.4, f'{_view}.2.hue': 0.1, f'{_view}.3.prob': 0.2}),
    dict(name='blur on', pretrain=_config, options={f'{_view}.4.prob': 0.5}),
    dict(name='num_grid 1', pretrain=_config, options={'model.num_grid': 1}),
    dict(name='num_grid 2', pretrain=_config, options={'model.num_grid': 2}),
    dict(name='num_grid 3', pretrain=_config, options={'model.num_grid': 3}),
    dict(name='150 images', pretrain=_config, options={'train_dataloader.dataset.indices': 150}),
    dict(name='300 images', pretrain=_config, options={'train_dataloader.dataset.indices': 300}),
    dict(name='450 images', pretrain=_config, options={'train_dataloader.dataset.indices': 450}),
]
evaluate = dict(
    config='../densecl_r18_shapes.py',
    protocols=['knn', 'correspondence'],
    layers=['C3', 'C4', 'C5'])
seeds = [0, 1]
