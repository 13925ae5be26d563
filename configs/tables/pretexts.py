"""Predictive pretexts, alone and together, from scratch on generated scenes. One seed.

The auto recipe at 400 steps of 32 images; together 8 of each task, so a step has as many.
Views of 64 pixels; relative position and exemplar have patches of 32. Rotation and colourisation
are predicted at stride 8.
Data: data/shapes, generated on first use.
Command: python tools/run_table.py configs/tables/pretexts.py --processes 1 \
    --add docs/benchmarks/small/methods.json
"""
_densecl = '../densecl_r18_shapes.py'
_shared = ['../_base_/datasets/frozen_shapes.py', '../_base_/schedules/auto.py',
           '../_base_/backbones/r18_s8.py']
_frame = ['../_base_/pretrain_runtime.py', '../_base_/datasets/unlabelled_shapes.py', *_shared]
_settings = {'model': '_base_.network', 'default_hooks.checkpoint.interval': 100}
_views = 'train_dataloader.dataset.pipeline'
_plr = [*_frame, '../_base_/methods/small/plr.py',
        {**_settings, _views: '_base_.pipeline_plr'}]
# C4 and C5 together, at C4's size
_decoder = dict(
    type='FCNHead', in_channels=[256, 512], in_index=[0, 1], input_transform='resize_concat',
    channels=128, num_convs=1, concat_input=False, norm_cfg=dict(type='BN'), align_corners=False)
_batch = {'train_dataloader.batch_size': 32}
#: of each task, so that a step has as many images as alone
_part = {'train_dataloader.batch_size': 8}
_turned = f'{_views}.2.views.0.2'
_tasks = [*_shared, '../_base_/datasets/multitask_shapes.py',
          '../_base_/methods/small/multitask.py']
_four = ['../_base_/pretrain_runtime.py', *_tasks, _settings]
_pipelines = 'train_dataloader.dataset.datasets'
_harmonised = {f'{_pipelines}.{name}.pipeline': f'_base_.harmonised_{name}'
               for name in ('turned', 'position', 'exemplar')}
# what a head reads then is one map, of C4's size
_one_map = dict(in_channels=256, in_index=0, input_transform=None)
_lasso = {
    'optim_wrapper.paramwise_cfg': dict(custom_keys={'alpha': dict(decay_mult=0.0)}),
    'model.combine': dict(blocks=['layer4.0', 'layer4.1', 'layer3.0', 'layer3.1'], channels=256),
    'model.tasks.turned.decode_head': _one_map, 'model.tasks.colour.decode_head': _one_map}

rows = [
    dict(name='rotation of patches', pretrain=_plr, options=_batch),
    dict(name='rotation, colours as they are', pretrain=_plr, options={
        **_batch, f'{_turned}.distort.0.prob': 0.0, f'{_turned}.distort.1.prob': 0.0}),
    dict(name='rotation of the image', pretrain=_plr, options={
        **_batch, f'{_turned}.grid': (1, 1), f'{_turned}.margin': 0, f'{_turned}.jitter': 0}),
    dict(name='relative position', options=_batch, pretrain=[
        *_frame, '../_base_/methods/small/relative_position.py',
        {**_settings, _views: '_base_.pipeline_relative_position'}]),
    dict(name='exemplar', options=_batch, pretrain=[
        *_frame, '../_base_/methods/small/exemplar.py',
        {**_settings, _views: '_base_.pipeline_exemplar'}]),
    dict(name='colourisation', options=_batch, pretrain=[
        *_frame, '../_base_/methods/small/colorization.py',
        {**_settings, _views: '_base_.pipeline_colorization', 'model.decode_head': _decoder}]),
    dict(name='all four', pretrain=_four, options=_part),
    dict(name='all four, harmonised', pretrain=[*_four[:-1], {**_settings, **_harmonised}],
         options=_part),
    dict(name='all four, lasso', options=_part, pretrain=[
        '../_base_/pretrain_runtime_lasso.py', *_tasks, {**_settings, **_lasso}]),
]
evaluate = dict(
    config=_densecl,
    protocols=['knn', 'linear', 'statistics'],
    layers=['C3', 'C4', 'C5'])
seeds = [0]
