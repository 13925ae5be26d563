"""Many photos and few labels: does a start gain by further pretraining on them? One seed.

400 steps of 32 photos each. The starts are a ResNet-18 of MoCo v2 and an ImageNet
EfficientNet-Lite0 (which has seen 1.28 million labels). A continuation counts against the
*control*: the same steps of MoCo v2, and of nothing but an anchor to the start.
Another start: `_moco`, `_lite0`. Other images: `_photos`, `_frozen`, the dataset of `_finetune`.
Data: data/voc_animals, data/efficientnet_lite0_timm.safetensors, and the start of
    tools/dist_train.sh configs/moco_r18_animals.py 1
Run: nothing yet; docs/which_road.md.
Command: python tools/run_table.py configs/tables/road.py --processes 1
"""
_moco = 'work_dirs/moco_r18_animals/iter_2000.pth'
_lite0 = 'data/efficientnet_lite0_timm.safetensors'
_photos = '../_base_/datasets/unlabelled_animals.py'
_frozen = '../_base_/datasets/frozen_animals.py'
_finetune = '../finetune/mocofcn_r18_animals.py'
_frame = ['../_base_/pretrain_runtime.py', '../_base_/schedules/auto.py', _photos, _frozen]
_small = '../_base_/methods/small/'
_head = dict(type='mmdense.Projector', hidden_channels=512, out_channels=128,
             norm_cfg=dict(type='BN'))
# the pass with labels is the table's own evaluation
_settings = {'train_cfg.val_interval': 1000, 'default_hooks.checkpoint.interval': 100}
_r18 = dict(type='ResNet', depth=18, num_stages=4, out_indices=(2, 3), norm_cfg=dict(type='BN'),
            zero_init_residual=False)
_timm = dict(type='mmseg.TIMMBackbone', model_name='tf_efficientnet_lite0', features_only=True,
             out_indices=(3, 4), pretrained=False)
_inputs = dict(type='mmdense.ViewsPreprocessor', mean=[127.5] * 3, std=[127.5] * 3)
#: of each start: its name, file, network, channels of C4 and C5, and what its images become
_starts = [('MoCo', _moco, _r18, (256, 512), None), ('Lite0', _lite0, _timm, (112, 320), _inputs)]


def _network(backbone, inputs, checkpoint=None):
    weights = dict(type='mmdense.PretrainedBackbone', checkpoint=checkpoint)
    return {'model.backbone': dict(backbone, init_cfg=weights), **_settings,
            **({'model.data_preprocessor': inputs} if inputs else {})}


def _continued(name, method, start, further):
    label, checkpoint, backbone, _, inputs = start
    return dict(name=f'{label}, {name}', **_measures(start), pretrain=[
        *_frame, method, {**_network(backbone, inputs, checkpoint), **further}])


def _measures(start):
    """The configs of a start's frozen evaluation and of its fine-tuning."""
    _, _, backbone, (_, fifth), inputs = start
    frozen = [*_frame, f'{_small}densecl.py', _network(backbone, inputs)]
    if inputs is None:
        return dict(evaluate=frozen)
    weights = dict(type='mmdense.PretrainedBackbone', checkpoint=None)
    return dict(evaluate=frozen, finetune=[_finetune, {
        'model.backbone': dict(backbone, _delete_=True, init_cfg=weights),
        'model.decode_head.in_channels': fifth,
        'model.data_preprocessor.mean': inputs['mean'],
        'model.data_preprocessor.std': inputs['std']}])


def _rows(start):
    label, checkpoint, backbone, (fourth, fifth), inputs = start
    both = dict(type='FCNHead', in_channels=[fourth, fifth], in_index=[0, 1], channels=128,
                input_transform='resize_concat', num_convs=1, concat_input=False,
                norm_cfg=dict(type='BN'), align_corners=False)
    anchor = {'model.penalties': dict(anchor=dict(
        type='mmdense.FeatureAnchor', loss=dict(type='mmdense.KernelAlignmentLoss')))}
    slow = {'optim_wrapper.paramwise_cfg': dict(custom_keys={'backbone': dict(lr_mult=0.01)})}
    cells = {'model.cell_index': -2}
    itself = dict(backbone=backbone, checkpoint=checkpoint, levels=(-2, -1), size=112, name=label,
                  **({'mean': inputs['mean'], 'std': inputs['std']} if inputs else {}))
    plmoco = f'{_small}plmoco.py'
    return [
        dict(name=f'{label}, as it is', pretrain=None, checkpoint=checkpoint, **_measures(start)),
        _continued('control: MoCo v2', f'{_small}moco.py', start, {}),
        _continued('control: the anchor alone', '../_base_/mmdense.py', start, {
            'model.type': 'mmdense.DenseDistill', 'model.teacher': itself,
            'model.loss': dict(type='mmdense.KernelAlignmentLoss'), 'model.levels': (-2, -1),
            'model.num_views': 1, 'train_dataloader.dataset.pipeline': '_base_.pipeline_one'}),
        _continued('DenseCL', f'{_small}densecl.py', start, {}),
        _continued('PLMoCo', plmoco, start, cells),
        _continued('PLMoCo, encoder at 1/100', plmoco, start, {**cells, **slow}),
        _continued('PLMoCo, anchor', plmoco, start, {**cells, **anchor}),
        _continued('PaKA', '../_base_/methods/paka.py', start, cells),
        _continued('PixPro', '../_base_/methods/pixpro.py', start, {
            'model.projector': _head, 'model.context.in_channels': 128, 'model.out_index': -2}),
        _continued('EDMoCo', f'{_small}moco.py', start, {
            'model.decode_head': both, 'model.projector': _head}),
        _continued('PLEDMoCo', plmoco, start, {'model.decode_head': both}),
        _continued('CP2', f'{_small}cp2.py', start, {
            'model.decode_head.in_channels': fourth, 'model.decode_head.in_index': -2}),
        _continued('DetCon_B', f'{_small}detcon_b.py', start, {
            'model.out_index': -2, 'train_dataloader.dataset.pipeline': '_base_.pipeline_fh'}),
    ]


rows = [
    dict(name='random', pretrain=None, **_measures(_starts[0])),
    *_rows(_starts[0]),
    *_rows(_starts[1]),
]
_compared = ['as it is', 'control: MoCo v2', 'control: the anchor alone', 'PLMoCo']
finetune = dict(
    config=_finetune, learning_rates=[3e-4, 1e-3],
    rows=['random', *(f'{start[0]}, {name}' for start in _starts for name in _compared)])
evaluate = dict(protocols=['linear', 'statistics'], layers=['C3', 'C4', 'C5'])
seeds = [0]
