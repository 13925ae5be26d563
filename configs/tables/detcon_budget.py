"""DetCon beside the image-level methods that it is made of, at three lengths, on scenes. Two seeds.

The paper's headline (2103.10957): the same accuracy for a third of the training. BYOL and SimCLR
are mmpretrain's, with the views, schedule and widths of ours.
Data: data/shapes, generated on first use.
Command: python tools/run_table.py configs/tables/detcon_budget.py
"""
_image_level = ['../_base_/pretrain_runtime.py', '../_base_/datasets/unlabelled_shapes.py',
                '../_base_/datasets/frozen_shapes.py', '../_base_/schedules/auto.py']
# a map of 4x4 cells on views of 64 pixels, as DetCon's
_settings = {'model.backbone.strides': (1, 2, 2, 1), 'default_hooks.checkpoint.interval': 100}
_pairs = {'BYOL': [*_image_level, '../_base_/methods/mmpretrain/byol.py', _settings],
          'DetCon_B': '../detcon_b_r18_shapes.py',
          'SimCLR': [*_image_level, '../_base_/methods/mmpretrain/simclr.py', _settings],
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
