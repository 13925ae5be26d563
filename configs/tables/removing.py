"""DenseCL with place or colour removed; the rows of methods.py have CP2, without background.

One seed. Generated scenes; the auto recipe at 400 steps of 32 images of 64 pixels, 4 x 4 cells.
Place: reflecting instead of zero padding, or the place share as a penalty. Colour: both views in
grey, or colours changed as published instead of mildly.
Data: data/shapes, generated on first use.
Command: python tools/run_table.py configs/tables/removing.py --processes 1 \
    --add docs/benchmarks/small/methods.json
"""
_base = '../densecl_r18_shapes.py'
_reflect = {'model.backbone.conv_cfg': dict(type='Conv2d', padding_mode='reflect')}
_views = 'train_dataloader.dataset.pipeline.2.views.0'
_explicit = [_base, {'train_dataloader.dataset.pipeline': '_base_.pipeline_explicit'}]
_batch = {'train_dataloader.batch_size': 32}
rows = [
    dict(name='place: reflect', pretrain=[_base, _reflect], evaluate=[_base, _reflect],
         options=_batch),
    dict(name='place: penalty', options=_batch, pretrain=[
        _base, {'model.penalties': dict(place=dict(type='mmdense.PlacePenalty', weight=1.0))}]),
    dict(name='colour: grey', pretrain=_explicit, options={**_batch, f'{_views}.3.prob': 1.0}),
    dict(name='colour: as published', pretrain=_explicit, options={
        **_batch, f'{_views}.2.brightness': 0.4, f'{_views}.2.contrast': 0.4,
        f'{_views}.2.saturation': 0.4, f'{_views}.2.hue': 0.1, f'{_views}.3.prob': 0.2}),
]
evaluate = dict(
    config=_base,
    protocols=['knn', 'linear', 'statistics'],
    layers=['C3', 'C4', 'C5'])
seeds = [0]
