"""What an option is worth: context necks, an anchor, similarity; the encoder's own loss.

Generated scenes, one seed; the auto recipe at 400 steps of 32 images of 64 pixels, as methods.py,
whose rows of PLMoCo, EDMoCo and PLEDMoCo are the ones without.
Run: seed 0, docs/benchmarks/small/options.json.
Data: data/shapes, generated on first use.
Command: python tools/run_table.py configs/tables/options.py --processes 1 \
    --add docs/benchmarks/small/methods.json
"""
_densecl = '../densecl_r18_shapes.py'
_frame = ['../_base_/pretrain_runtime.py', '../_base_/backbones/r18_s8.py',
          '../_base_/datasets/unlabelled_shapes.py', '../_base_/datasets/frozen_shapes.py',
          '../_base_/schedules/auto.py']
_settings = {'model': '_base_.network', 'default_hooks.checkpoint.interval': 100}
_plmoco = [*_frame, '../_base_/methods/small/plmoco.py']
_cells = {**_settings, 'model.cell_index': -2}
# C4 and C5 together, at C4's size
_decoder = dict(
    type='FCNHead', in_channels=[256, 512], in_index=[0, 1], input_transform='resize_concat',
    channels=128, num_convs=1, concat_input=False, norm_cfg=dict(type='BN'), align_corners=False)
_head = dict(type='mmdense.Projector', hidden_channels=512, out_channels=128,
             norm_cfg=dict(type='BN'))
_own = {**_settings, 'model.decode_head': _decoder, 'model.encoder_projector': _head}
_batch = {'train_dataloader.batch_size': 32}

rows = [
    dict(name='PLMoCo, neighbours', options=_batch, pretrain=[
        *_plmoco, {**_cells, 'model.context': dict(type='mmdense.NeighbourContext')}]),
    dict(name='PLMoCo, attention', options=_batch, pretrain=[
        *_plmoco, {**_cells, 'model.context': dict(type='mmdense.PixelPropagation')}]),
    dict(name='PLMoCo, co-occurrence', options=_batch, pretrain=[
        *_plmoco, {**_cells, 'model.context': dict(type='mmdense.CooccurrenceContext')}]),
    # even sides and symmetric padding: a cell looks at its upper left corner
    dict(name='PLMoCo, cell_anchor 0', options=_batch, pretrain=[
        *_plmoco, {**_cells, 'model.matcher.cell_anchor': 0.0}]),
    dict(name='PLMoCo, by similarity', options=_batch, pretrain=[
        *_plmoco, {**_cells, 'model.matcher': dict(_delete_=True,
                                                   type='mmdense.SimilarityMatcher')}]),
    dict(name='PLEDMoCo, encoder too', options=_batch, pretrain=[*_plmoco, _own]),
    dict(name='EDMoCo, encoder too', options=_batch, pretrain=[
        *_frame, '../_base_/methods/moco.py', {**_own, 'model.projector': _head}]),
]
evaluate = dict(
    config=_densecl,
    protocols=['knn', 'linear', 'statistics'],
    layers=['C3', 'C4', 'C5'])
seeds = [0]
