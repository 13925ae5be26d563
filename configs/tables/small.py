"""CamVid's new drive, three seeds: frozen protocols, and fine-tuned with 1/8 of the labels.

Stock is mmpretrain's own with the published recipe, all others are ours with the auto recipe.
DetCon's regions are named; those from labels are an upper bound, which nobody without labels has.
Data: data/camvid; for the BSDS rows data/bsds, with FH's regions as detcon_b_r18_bsds_fh.py says.
Command: python tools/run_table.py configs/tables/small.py
"""
rows = [
    dict(name='random', pretrain=None),
    dict(name='MoCo v2, stock', pretrain='../mmpretrain/mocov2_resnet18_camvid.py'),
    dict(name='DenseCL, stock', pretrain='../mmpretrain/densecl_resnet18_camvid.py'),
    # DenseCL without its dense loss is MoCo v2
    dict(name='MoCo v2, auto', pretrain='../densecl_r18_camvid.py',
         options={'model.dense_weight': 0.0}),
    dict(name='DenseCL, auto', pretrain='../densecl_r18_camvid.py'),
    dict(name='DetCon_B, FH', pretrain='../detcon_b_r18_camvid.py'),
    dict(name='DetCon_B, grid', pretrain='../detcon_b_r18_camvid_grid.py'),
    dict(name='DetCon_B, clustered', pretrain='../detcon_b_r18_camvid_clustered.py'),
    dict(name='DetCon_B, soft', pretrain='../detcon_b_r18_camvid_soft.py'),
    dict(name='DetCon_B, labels (upper bound)', pretrain='../detcon_b_r18_camvid_gt.py'),
    dict(name='DetCon_S, FH', pretrain='../detcon_s_r18_camvid.py'),
    dict(name='DetCon_B on BSDS, FH', pretrain='../detcon_b_r18_bsds_fh.py'),
    dict(name='DetCon_B on BSDS, human', pretrain='../detcon_b_r18_bsds.py'),
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
