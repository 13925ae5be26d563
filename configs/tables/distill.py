"""A ResNet-18 that learns from an ImageNet EfficientNet-Lite0 on photos, or by itself. One seed.

400 steps of 32 photos, views of 112 pixels. C4 (stride 16, 7 x 7 cells) and C5 learn from the
teacher's maps of stride 16 and 32, which are in files; MoCo v2 and DenseCL as in animals.py. The
teacher has seen ImageNet's 1.28 million labels.
Data: data/voc_animals, data/efficientnet_lite0_timm.safetensors, and data/animals_lite0:
    python tools/cache_teacher.py configs/distill_r18_animals.py data/animals_lite0 \
        --cfg-options model.teacher.checkpoint=data/efficientnet_lite0_timm.safetensors
Command: python tools/run_table.py configs/tables/distill.py --processes 1
"""
_frame = ['../_base_/pretrain_runtime.py', '../_base_/backbones/r18_c4_c5.py',
          '../_base_/datasets/unlabelled_animals.py', '../_base_/datasets/frozen_animals.py',
          '../_base_/schedules/auto.py']
_settings = {'model': '_base_.network', 'default_hooks.checkpoint.interval': 100}
# the pass with labels is the table's own evaluation
_own = [*_frame, '../_base_/methods/small/densecl.py',
        {**_settings, 'train_cfg.val_interval': 1000}]
_teacher = [*_own[:1], *_frame[2:], '../_base_/methods/small/densecl.py', {
    'model.backbone': dict(type='mmseg.TIMMBackbone', model_name='tf_efficientnet_lite0',
                           features_only=True, pretrained=False),
    'model.data_preprocessor': dict(type='mmdense.ViewsPreprocessor', mean=[127.5] * 3,
                                    std=[127.5] * 3)}]
_distilled = '../distill_r18_animals.py'
_cached = {'model.teacher.checkpoint': 'data/efficientnet_lite0_timm.safetensors',
           'model.cache': 'data/animals_lite0',
           'train_dataloader.dataset.pipeline': '_base_.pipeline_taught',
           'train_cfg.val_interval': 1000, 'default_hooks.checkpoint.interval': 100}
rows = [
    dict(name='random', pretrain=None),
    dict(name='the teacher as it is', pretrain=None, evaluate=_teacher,
         checkpoint='data/efficientnet_lite0_timm.safetensors'),
    dict(name='MoCo v2', pretrain=_own, options={'model.dense_weight': 0.0}),
    dict(name='DenseCL', pretrain=_own),
    dict(name='distilled', pretrain=[_distilled, _cached]),
    dict(name='distilled, kernels', pretrain=[_distilled, {
        **_cached, 'model.loss': dict(type='mmdense.KernelAlignmentLoss'),
        'model.projector': None}]),
]
evaluate = dict(
    config=[*_frame, '../_base_/methods/small/densecl.py', _settings],
    protocols=['linear', 'statistics'],
    layers=['C3', 'C4', 'C5'])
seeds = [0]
