"""Is a pretrained decoder worth handing on? EDMoCo's, with its encoder, without, and alone.

Generated scenes, one seed; the auto recipe at 400 steps of 32 images of 64 pixels. Fine-tuned with
the same MoCoFCN on an eighth of the labels.
Run: seed 0, docs/benchmarks/small/decoder.json.
Data: data/shapes, generated on first use.
Command: python tools/run_table.py configs/tables/decoder.py --processes 1
"""
_densecl = '../densecl_r18_shapes.py'
_batch = {'train_dataloader.batch_size': 32}
_edmoco = ['../_base_/pretrain_runtime.py', '../_base_/backbones/r18_s16.py',
           '../_base_/datasets/unlabelled_shapes.py', '../_base_/datasets/frozen_shapes.py',
           '../_base_/schedules/auto.py', '../_base_/methods/edmoco.py',
           {'model': '_base_.network', 'model.decode_head': '_base_.mocofcn.decode_head',
            'model.decode_head.in_channels': 512, 'model.decode_head.align_corners': False,
            'model.projector.norm_cfg': dict(type='BN'),
            'default_hooks.checkpoint.interval': 100}]
rows = [
    dict(name='random', pretrain=None),
    dict(name='MoCo v2', pretrain=_densecl, options={**_batch, 'model.dense_weight': 0.0}),
    dict(name='EDMoCo', pretrain=_edmoco, options=_batch),
    dict(name='EDMoCo, decoder handed on', pretrain=_edmoco, options=_batch, hand_on='segmentor'),
    dict(name='EDMoCo, decoder alone', pretrain=_edmoco, options=_batch, hand_on='decode_head'),
]
evaluate = dict(config=_densecl, protocols=['linear'], layers=['C3', 'C4', 'C5'])
finetune = dict(
    config=['../finetune/mocofcn_r18_shapes.py', {
        'train_dataloader.dataset': dict(
            _delete_=True, type='mmdense.LabelFraction', fraction='1/8', seed=0,
            dataset='_base_.train_dataloader.dataset')}],
    rows=[row['name'] for row in rows],
    learning_rates=[1e-3])
seeds = [0]
