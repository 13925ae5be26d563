"""CamVid's new drive, three seeds: frozen protocols, and fine-tuned with 1/8 of the labels.

Stock is mmpretrain's own with the published recipe, auto ours with the auto recipe.
Data: data/camvid.
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
