"""The 10,582 images of VOC 2012 trainaug without their labels, 256 per step on 8 processes.

Two views as MoCo v2 makes them. For a method with regions a config takes a ``pipeline_…``:
FH's regions from files, a ``grid``, or the views for ``clustered`` and ``soft`` ones. For a
predictive pretext its own, such as ``pipeline_plr``.
``labelled`` is the dataset whose labels are the regions; its background is no region.
"""
_base_ = ['./moco_v2.py', './region_views.py', './pretext_views.py']

_files = [dict(type='mmdense.LoadRegions', images='data/VOCdevkit/VOC2012/JPEGImages',
               folder='data/VOCdevkit/VOC2012/regions_fh')]
pipeline_fh = [*_base_.load, *_files, *_base_.byol_224]
pipeline_grid = [*_base_.load, *_base_.grid, *_base_.byol_224]
pipeline_clustered = [*_base_.load, *_base_.byol_224_whole]
pipeline_soft = [*_base_.load, *_base_.byol_224]
pipeline_distill = [*_base_.load, *_base_.taught_224]
pipeline_plr = [*_base_.load, *_base_.turned_224]
pipeline_relative_position = [*_base_.load, *_base_.neighbours_96]
pipeline_exemplar = [*_base_.load, *_base_.copies_96]
pipeline_colorization = [*_base_.load, *_base_.lightness_224]
_pipeline_labels = [*_base_.load, dict(type='LoadAnnotations'),
                    dict(type='mmdense.RegionsFromAnnotations', background=0), *_base_.byol_224]
_part = dict(type='PascalVOCDataset', data_root='data/VOCdevkit/VOC2012',
             pipeline=_pipeline_labels)
labelled = dict(type='ConcatDataset', datasets=[
    dict(_part, ann_file='ImageSets/Segmentation/train.txt',
         data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClass')),
    dict(_part, ann_file='ImageSets/Segmentation/aug.txt',
         data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClassAug'))])
train_dataloader = dict(
    batch_size=32,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='mmdense.ResumableSampler', shuffle=True),
    dataset=dict(
        type='mmdense.UnlabelledDataset',
        dataset=dict(
            type='PascalVOCDataset',
            data_root='data/VOCdevkit/VOC2012',
            data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClassAug'),
            ann_file='ImageSets/Segmentation/trainaug.txt'),
        pipeline=_base_.load + _base_.views_224))
