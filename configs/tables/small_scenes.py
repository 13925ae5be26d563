"""Generated scenes, three seeds: frozen protocols, and fine-tuned with 1/8 of the labels.

Stock is mmpretrain's own with the published recipe, auto ours with the auto recipe. The last two
rows never saw a scene: they are pretrained on images of one object each, with and without labels.
Data: data/shapes and data/shapes_objects, generated on first use.
Command: python tools/run_table.py configs/tables/small_scenes.py
"""
rows = [
    dict(name='random', pretrain=None),
    dict(name='MoCo v2, stock', pretrain='../mmpretrain/mocov2_resnet18_shapes.py'),
    dict(name='DenseCL, stock', pretrain='../mmpretrain/densecl_resnet18_shapes.py'),
    # DenseCL without its dense loss is MoCo v2
    dict(name='MoCo v2, auto', pretrain='../densecl_r18_shapes.py',
         options={'model.dense_weight': 0.0}),
    dict(name='DenseCL, auto', pretrain='../densecl_r18_shapes.py'),
    dict(name='supervised, objects', pretrain='../supervised_r18_shape_objects.py'),
    dict(name='DenseCL, objects', pretrain='../densecl_r18_shape_objects.py'),
]
evaluate = dict(
    config='../densecl_r18_shapes.py',
    protocols=['knn', 'linear', 'overcluster', 'correspondence', 'statistics'],
    layers=['C3', 'C4', 'C5'])
finetune = dict(
    config='../finetune/mocofcn_r18_shapes_1of8.py',
    rows=['random', 'DenseCL, stock', 'DenseCL, auto'],
    learning_rates=[3e-4, 1e-3, 3e-3])
seeds = [0, 1, 2]
