"""DetCon_B on generated scenes: does it need many negatives and two views? Two seeds.

The published ablation (2103.10957), smaller: negatives of all 32 images or of groups of 4, two
views or one for both sides, FH's regions or the labels. Then other regions, and DetCon_S.
Data: data/shapes, generated on first use.
Command: python tools/run_table.py configs/tables/detcon_ablation.py
"""
_fh = '../detcon_b_r18_shapes.py'
_labels = [_fh, {'train_dataloader.dataset': '_base_.labelled',
                 'train_dataloader.dataset._delete_': True}]
_grid = [_fh, {'train_dataloader.dataset.pipeline': '_base_.pipeline_grid'}]
_clustered = [_fh, {
    'train_dataloader.dataset.pipeline': '_base_.pipeline_clustered',
    'model.regions': dict(_delete_=True, type='mmdense.ClusteredRegions', clusters=(4, 16))}]
_soft = [_fh, {
    'train_dataloader.dataset.pipeline': '_base_.pipeline_soft',
    'model.regions': dict(_delete_=True, type='mmdense.SoftRegions', norm_cfg=dict(type='BN'))}]
_group = {'model.loss.negative_group': 4}
_one_view = {**_group, 'model.two_views': False}

rows = [
    dict(name='random', pretrain=None),
    dict(name='FH', pretrain=_fh),
    dict(name='FH, groups of 4', pretrain=_fh, options=_group),
    dict(name='FH, groups of 4, one view', pretrain=_fh, options=_one_view),
    dict(name='labels (upper bound)', pretrain=_labels),
    dict(name='labels (upper bound), groups of 4', pretrain=_labels, options=_group),
    dict(name='labels (upper bound), groups of 4, one view', pretrain=_labels, options=_one_view),
    dict(name='grid', pretrain=_grid),
    dict(name='clustered', pretrain=_clustered),
    dict(name='soft', pretrain=_soft),
    dict(name='DetCon_S, FH', pretrain='../detcon_s_r18_shapes.py'),
]
evaluate = dict(
    config='../densecl_r18_shapes.py',
    protocols=['knn', 'linear', 'correspondence'],
    layers=['C3', 'C4', 'C5'])
seeds = [0, 1]
