"""Generated scenes, three seeds: frozen protocols, and fine-tuned with 1/8 of the labels.

Stock is mmpretrain's own with the published recipe, auto ours with the auto recipe. The last two
rows never saw a scene: they are pretrained on images of one object each, with and without labels.
Data: data/shapes and data/shapes_objects, generated on first use.
Command: python tools/run_table.py configs/tables/small_scenes.py
"""
_runtime = '../_base_/pretrain_runtime.py'
_frozen = '../_base_/datasets/frozen_shapes.py'
# a map of 4x4 cells on views of 64 pixels, at the stride that MoCoFCN fine-tunes
_settings = {'model.backbone.strides': (1, 2, 2, 1), 'default_hooks.checkpoint.interval': 100}
# mmpretrain's method, views, optimiser and rate, for 400 steps and views of 64 pixels
_stock = [_runtime, '../_base_/datasets/unlabelled_shapes.py',
          '../_base_/datasets/mmpretrain_views.py', _frozen,
          '../_base_/schedules/mmpretrain_sgd.py']
_stock_settings = {
    **_settings, 'train_dataloader.dataset.pipeline': '_base_.pipeline_mmpretrain_64',
    'train_dataloader.collate_fn.type': 'default_collate'}

rows = [
    dict(name='random', pretrain=None),
    dict(name='MoCo v2, stock',
         pretrain=[*_stock, '../_base_/methods/mmpretrain/mocov2.py', _stock_settings]),
    dict(name='DenseCL, stock',
         pretrain=[*_stock, '../_base_/methods/mmpretrain/densecl.py', _stock_settings]),
    # DenseCL without its dense loss is MoCo v2
    dict(name='MoCo v2, auto', pretrain='../densecl_r18_shapes.py',
         options={'model.dense_weight': 0.0}),
    dict(name='DenseCL, auto', pretrain='../densecl_r18_shapes.py'),
    dict(name='supervised, objects', pretrain=[
        _runtime, '../_base_/methods/mmpretrain/classifier.py',
        '../_base_/datasets/shape_objects.py', _frozen, '../_base_/schedules/auto.py',
        {**_settings, 'model.head.num_classes': '_base_.num_classes'}]),
    dict(name='DenseCL, objects', pretrain=['../densecl_r18_shapes.py', {
        'train_dataloader.dataset.dataset': dict(
            _delete_=True, type='mmdense.ShapeObjectsDataset', data_root='data/shapes_objects',
            num_images=600)}]),
]
evaluate = dict(
    config='../densecl_r18_shapes.py',
    protocols=['knn', 'linear', 'overcluster', 'correspondence', 'statistics'],
    layers=['C3', 'C4', 'C5'])
finetune = dict(
    config=['../finetune/mocofcn_r18_shapes.py', {
        'train_dataloader.dataset': dict(
            _delete_=True, type='mmdense.LabelFraction', fraction='1/8', seed=0,
            dataset='_base_.train_dataloader.dataset')}],
    rows=['random', 'DenseCL, stock', 'DenseCL, auto'],
    learning_rates=[3e-4, 1e-3, 3e-3])
seeds = [0, 1, 2]
