"""CamVid's new drive: random weights and DenseCL with the auto recipe, frozen, three seeds.

Data: data/camvid.
Command: python tools/run_table.py configs/tables/small.py
"""
rows = [
    dict(name='random', pretrain=None),
    dict(name='DenseCL, auto', pretrain='../densecl_r18_camvid.py'),
]
evaluate = dict(
    config='../densecl_r18_camvid.py',
    protocols=['knn', 'linear', 'correspondence'],
    layers=['C3', 'C4', 'C5'])
seeds = [0, 1, 2]
