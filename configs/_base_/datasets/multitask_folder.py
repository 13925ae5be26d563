"""All images under a folder for relative position, exemplar and colourisation at once.

Each task has its own pipeline and order, and 32 images of a step on each of 8 processes. With
``harmonised_…`` as the pipelines of the first two all tasks see lightness alone.
"""
_base_ = ['./moco_v2.py', './pretext_views.py']

harmonised_position = [
    *_base_.load,
    dict(_base_.neighbours_96[0], patch=[dict(type='mmdense.ToLightness')]),
    dict(type='mmdense.PackViews'),
]
harmonised_exemplar = [
    *_base_.load,
    dict(type='mmdense.MultiView', num_views=[2], min_overlap=0.3, views=[[
        *_base_.copies_96[0].views[0], dict(type='mmdense.ToLightness')]]),
    dict(type='mmdense.PackViews'),
]
_part = dict(type='mmdense.UnlabelledDataset', data_root=None)
train_dataloader = dict(
    batch_size=32,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='mmdense.MultiTaskSampler'),
    collate_fn=dict(type='mmdense.collate_tasks'),
    dataset=dict(
        type='mmdense.MultiTaskDataset',
        datasets=dict(
            position=dict(_part, pipeline=[*_base_.load, *_base_.neighbours_96]),
            exemplar=dict(_part, pipeline=[*_base_.load, *_base_.copies_96]),
            colour=dict(_part, pipeline=[*_base_.load, *_base_.lightness_224]))))
