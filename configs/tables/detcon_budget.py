"""DetCon beside the image-level methods that it is made of, at three lengths, on scenes. Two seeds.

The paper's headline (2103.10957): the same accuracy for a third of the training. BYOL and SimCLR
are mmpretrain's, with the views, schedule and widths of ours.
Data: data/shapes, generated on first use.
Command: python tools/run_table.py configs/tables/detcon_budget.py
"""
_pairs = {'BYOL': '../mmpretrain/byol_resnet18_shapes.py',
          'DetCon_B': '../detcon_b_r18_shapes.py',
          'SimCLR': '../mmpretrain/simclr_resnet18_shapes.py',
          'DetCon_S': '../detcon_s_r18_shapes.py'}

rows = [dict(name='random', pretrain=None)] + [
    dict(name=f'{_name}, {_steps} steps', pretrain=_config,
         options={} if _steps == 400 else {'train_cfg.max_iters': _steps})
    for _name, _config in _pairs.items() for _steps in (100, 200, 400)]
evaluate = dict(
    config='../densecl_r18_shapes.py',
    protocols=['knn', 'linear', 'correspondence'],
    layers=['C3', 'C4', 'C5'])
seeds = [0, 1]
