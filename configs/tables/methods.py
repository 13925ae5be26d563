"""Every dense method from scratch beside random weights and MoCo v2, on generated scenes. One seed.

The auto recipe at 400 steps of 32 images of 64 pixels. Methods of cells read C4 (8 x 8 cells at
stride 8) where whole images or a decoder train C5, else C5 at that stride; DenseCL C5 at stride 16,
VADeR a decoder's map of all stages at stride 4.
Data: data/shapes, generated on first use.
Run: seed 0, docs/benchmarks/small/methods.json, for `--add`.
Command: python tools/run_table.py configs/tables/methods.py --processes 1
"""
_densecl = '../densecl_r18_shapes.py'
_frame = ['../_base_/pretrain_runtime.py', '../_base_/backbones/r18_s8.py',
          '../_base_/datasets/unlabelled_shapes.py', '../_base_/datasets/frozen_shapes.py',
          '../_base_/schedules/auto.py']
_settings = {'model': '_base_.network', 'default_hooks.checkpoint.interval': 100}
# C4 and C5 together, at C4's size
_decoder = dict(
    type='FCNHead', in_channels=[256, 512], in_index=[0, 1], input_transform='resize_concat',
    channels=128, num_convs=1, concat_input=False, norm_cfg=dict(type='BN'), align_corners=False)
_fine = {**_settings, 'model.backbone.strides': (1, 2, 1, 1), 'model.backbone.out_indices': (3,)}
_head = dict(type='mmdense.Projector', hidden_channels=512, out_channels=128,
             norm_cfg=dict(type='BN'))
_batch = {'train_dataloader.batch_size': 32}

rows = [
    dict(name='random', pretrain=None),
    dict(name='MoCo v2', pretrain=_densecl, options={**_batch, 'model.dense_weight': 0.0}),
    dict(name='DenseCL', pretrain=_densecl, options=_batch),
    dict(name='PLMoCo', options=_batch, pretrain=[
        *_frame, '../_base_/methods/small/plmoco.py', {**_settings, 'model.cell_index': -2}]),
    dict(name='PLEDMoCo', options=_batch, pretrain=[
        *_frame, '../_base_/methods/small/plmoco.py',
        {**_settings, 'model.decode_head': _decoder}]),
    dict(name='EDMoCo', options=_batch, pretrain=[
        *_frame, '../_base_/methods/moco.py',
        {**_settings, 'model.decode_head': _decoder, 'model.projector': _head}]),
    dict(name='VADeR', options=_batch, pretrain=[
        '../_base_/pretrain_runtime.py', '../_base_/backbones/r18_maps.py',
        '../_base_/datasets/unlabelled_shapes.py', '../_base_/datasets/frozen_shapes.py',
        '../_base_/schedules/auto.py', '../_base_/methods/small/vader.py', _settings]),
    dict(name='PixPro', options=_batch, pretrain=[
        *_frame, '../_base_/methods/pixpro.py', {**_fine, 'model.projector': _head,
                                                 'model.context.in_channels': 128}]),
    dict(name='PixContrast', options=_batch, pretrain=[
        *_frame, '../_base_/methods/pixcontrast.py', {**_fine, 'model.projector': _head}]),
    dict(name='location', options=_batch, pretrain=[
        *_frame, '../_base_/methods/small/location.py', _fine]),
    dict(name='CP2', options=_batch, pretrain=[
        *_frame, '../_base_/methods/small/cp2.py', _fine]),
]
evaluate = dict(
    config=_densecl,
    protocols=['knn', 'linear', 'statistics'],
    layers=['C3', 'C4', 'C5'])
seeds = [0]
