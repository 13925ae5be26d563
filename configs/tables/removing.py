"""What is left when place, colour or background is removed: DenseCL and CP2. One seed.

Generated scenes; the auto recipe at 400 steps of 32 images. DenseCL has 4 x 4 cells of views of 64
pixels, CP2 7 x 7 of 56.
Place: reflecting instead of zero padding, or the place share as a penalty. Colour: both views in
grey, or colours changed as published instead of mildly.
Data: data/shapes, generated on first use.
Command: python tools/run_table.py configs/tables/removing.py
"""
_base = '../densecl_r18_shapes.py'
_reflect = {'model.backbone.conv_cfg': dict(type='Conv2d', padding_mode='reflect')}
_views = 'train_dataloader.dataset.pipeline.2.views.0'
_explicit = [_base, {'train_dataloader.dataset.pipeline': '_base_.pipeline_explicit'}]
rows = [
    dict(name='random', pretrain=None),
    dict(name='DenseCL', pretrain=_base),
    dict(name='place: reflect', pretrain=[_base, _reflect], evaluate=[_base, _reflect]),
    dict(name='place: penalty', pretrain=[
        _base, {'model.penalties': dict(place=dict(type='mmdense.PlacePenalty', weight=1.0))}]),
    dict(name='colour: grey', pretrain=_explicit, options={f'{_views}.3.prob': 1.0}),
    dict(name='colour: as published', pretrain=_explicit, options={
        f'{_views}.2.brightness': 0.4, f'{_views}.2.contrast': 0.4, f'{_views}.2.saturation': 0.4,
        f'{_views}.2.hue': 0.1, f'{_views}.3.prob': 0.2}),
    dict(name='background: CP2', pretrain=[
        '../_base_/pretrain_runtime.py',
        '../_base_/backbones/r18.py',
        '../_base_/datasets/unlabelled_shapes.py',
        '../_base_/datasets/frozen_shapes.py',
        '../_base_/schedules/auto.py',
        '../_base_/methods/small/cp2.py',
        {'model': '_base_.network', 'model.backbone.strides': (1, 2, 1, 1),
         'train_dataloader.dataset.pipeline': '_base_.pipeline_cells',
         'default_hooks.checkpoint.interval': 100}]),
]
evaluate = dict(
    config=_base,
    protocols=['knn', 'linear', 'correspondence', 'statistics'],
    layers=['C3', 'C4', 'C5'])
seeds = [0]
