"""CamVid's new drive, three seeds: frozen protocols, and fine-tuned with 1/8 of the labels.

Stock is mmpretrain's own with the published recipe, all others are ours with the auto recipe.
DetCon's regions are named; those from labels are an upper bound, which nobody without labels has.
Data: data/camvid; for the BSDS rows data/bsds, with FH's regions by
    python tools/make_regions.py data/bsds/images data/bsds_regions_fh \
        --options scale=300 min_size=0.0065
Command: python tools/run_table.py configs/tables/small.py
"""
_runtime = '../_base_/pretrain_runtime.py'
_frozen = '../_base_/datasets/frozen_camvid.py'
_auto = '../_base_/schedules/auto.py'
_saved = {'default_hooks.checkpoint.interval': 200}
# mmpretrain's method, views, optimiser and rate, for 400 steps and views of 96 pixels
_stock = [_runtime, '../_base_/datasets/unlabelled_camvid.py',
          '../_base_/datasets/mmpretrain_views.py', _frozen,
          '../_base_/schedules/mmpretrain_sgd.py']
_stock_settings = {**_saved, 'train_dataloader.dataset.pipeline': '_base_.pipeline_mmpretrain_96',
                   'train_dataloader.collate_fn.type': 'default_collate'}
_fh = '../detcon_b_r18_camvid.py'
_bsds = [_runtime, '../_base_/methods/small/detcon_b.py', '../_base_/backbones/r18_s16.py',
         '../_base_/datasets/unlabelled_bsds.py', _frozen, _auto]
_bsds_settings = {**_saved, 'model': '_base_.network'}

rows = [
    dict(name='random', pretrain=None),
    dict(name='MoCo v2, stock',
         pretrain=[*_stock, '../_base_/methods/mmpretrain/mocov2.py', _stock_settings]),
    dict(name='DenseCL, stock',
         pretrain=[*_stock, '../_base_/methods/mmpretrain/densecl.py', _stock_settings]),
    # DenseCL without its dense loss is MoCo v2
    dict(name='MoCo v2, auto', pretrain='../densecl_r18_camvid.py',
         options={'model.dense_weight': 0.0}),
    dict(name='DenseCL, auto', pretrain='../densecl_r18_camvid.py'),
    dict(name='DetCon_B, FH', pretrain=_fh),
    dict(name='DetCon_B, grid', pretrain=[
        _fh, {'train_dataloader.dataset.pipeline': '_base_.pipeline_grid'}]),
    dict(name='DetCon_B, clustered', pretrain=[_fh, {
        'train_dataloader.dataset.pipeline': '_base_.pipeline_clustered',
        'model.regions': dict(_delete_=True, type='mmdense.ClusteredRegions',
                              clusters=(4, 16))}]),
    dict(name='DetCon_B, soft', pretrain=[_fh, {
        'train_dataloader.dataset.pipeline': '_base_.pipeline_soft',
        'model.regions': dict(_delete_=True, type='mmdense.SoftRegions',
                              norm_cfg=dict(type='BN'))}]),
    dict(name='DetCon_B, labels (upper bound)', pretrain=[_fh, {
        'train_dataloader.dataset': '_base_.labelled',
        'train_dataloader.dataset._delete_': True}]),
    dict(name='DetCon_S, FH', pretrain=[
        _runtime, '../_base_/methods/small/detcon_s.py', '../_base_/backbones/r18_s16.py',
        '../_base_/datasets/unlabelled_camvid.py', _frozen, _auto,
        {**_saved, 'model': '_base_.network',
         'train_dataloader.dataset.pipeline': '_base_.pipeline_fh'}]),
    dict(name='DetCon_B on BSDS, FH', pretrain=[
        *_bsds, {**_bsds_settings, 'train_dataloader.dataset.pipeline': '_base_.pipeline_fh'}]),
    dict(name='DetCon_B on BSDS, human', pretrain=[*_bsds, _bsds_settings]),
]
evaluate = dict(
    config='../densecl_r18_camvid.py',
    protocols=['knn', 'linear', 'correspondence', 'statistics'],
    layers=['C3', 'C4', 'C5'])
finetune = dict(
    config='../finetune/mocofcn_r18_camvid.py',
    rows=['random', 'DenseCL, stock', 'DenseCL, auto'],
    learning_rates=[3e-4, 1e-3, 3e-3])
seeds = [0, 1, 2]
