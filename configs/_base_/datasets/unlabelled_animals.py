"""4,163 photos of animals and people from VOC and the web, without labels, 32 per step.

``data/voc_animals`` has ``images``, ``annotations`` and ``splits``; its 222 val photos are not
among them. Views of 112 pixels: 7 x 7 cells of stride 16. For distillation ``pipeline_distill``,
or ``pipeline_taught`` with a teacher's maps from files.
"""
_base_ = ['./moco_v2.py', './region_views.py']

_photos = [
    dict(type='BaseSegDataset', data_root='data/voc_animals', ann_file=f'splits/{_split}.txt',
         data_prefix=dict(img_path='images', seg_map_path='annotations'))
    for _split in ('train', 'unlabeled')]
_view = [dict(_base_.crop, size=112), *_base_.mild]
pipeline_fh = [
    *_base_.load, *_base_.fh, dict(type='mmdense.MultiView', num_views=[2], views=[_view]),
    dict(type='mmdense.PackViews'),
]
pipeline_one = [
    *_base_.load, dict(type='mmdense.MultiView', views=[_view]), dict(type='mmdense.PackViews')]
pipeline_distill = [
    *_base_.load,
    dict(type='mmdense.MultiView', views=[_view, [dict(type='Resize', scale=(224, 224))]]),
    dict(type='mmdense.PackViews'),
]
pipeline_taught = [
    *_base_.load,
    dict(type='mmdense.MultiView', views=[[
        *_view, dict(type='mmdense.LoadTeacherMaps', folder='data/animals_lite0')]]),
    dict(type='mmdense.PackViews'),
]
train_dataloader = dict(
    batch_size=32,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='mmdense.ResumableSampler', shuffle=True),
    dataset=dict(
        type='mmdense.UnlabelledDataset',
        dataset=dict(type='ConcatDataset', datasets=_photos),
        pipeline=[
            *_base_.load,
            dict(type='mmdense.MultiView', num_views=[2], views=[_view]),
            dict(type='mmdense.PackViews')]))
