"""The 600 generated scenes for four pretexts at once, 32 images of each per step on 2 processes.

``harmonised_…`` are pipelines of three tasks that see lightness alone, as colourisation does.
"""
_base_ = ['./moco_v2.py', './pretext_views.py']

_lightness = dict(type='mmdense.ToLightness')
harmonised_turned = [
    *_base_.load,
    dict(type='mmdense.MultiView', views=[[*_base_.turned_64[0].views[0], _lightness]]),
    dict(type='mmdense.PackViews'),
]
harmonised_position = [
    *_base_.load,
    dict(_base_.neighbours_32[0], patch=[_lightness]),
    dict(type='mmdense.PackViews'),
]
harmonised_exemplar = [
    *_base_.load,
    dict(type='mmdense.MultiView', num_views=[2], min_overlap=0.3, views=[[
        *_base_.copies_32[0].views[0], _lightness]]),
    dict(type='mmdense.PackViews'),
]
_part = dict(
    type='mmdense.UnlabelledDataset',
    dataset=dict(type='mmdense.ShapesDataset', data_root='data/shapes',
                 ann_file='ImageSets/Segmentation/unlabelled.txt'))
train_dataloader = dict(
    batch_size=16,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='mmdense.MultiTaskSampler'),
    collate_fn=dict(type='mmdense.collate_tasks'),
    dataset=dict(
        type='mmdense.MultiTaskDataset',
        datasets=dict(
            turned=dict(_part, pipeline=[*_base_.load, *_base_.turned_64]),
            position=dict(_part, pipeline=[*_base_.load, *_base_.neighbours_32]),
            exemplar=dict(_part, pipeline=[*_base_.load, *_base_.copies_32]),
            colour=dict(_part, pipeline=[*_base_.load, *_base_.lightness_64]))))
