"""VOC 2012 trainaug with regions: FH's from files; ``pipeline_…`` has the other kinds.

``labelled`` is the dataset that the ``labels`` kind needs; its background is no region.
"""
_base_ = ['./unlabelled_voc.py', './region_views.py']

_files = [dict(type='mmdense.LoadRegions', images='data/VOCdevkit/VOC2012/JPEGImages',
               folder='data/VOCdevkit/VOC2012/regions_fh')]
pipeline_grid = [*_base_.load, *_base_.grid, *_base_.byol_224]
pipeline_clustered = [*_base_.load, *_base_.byol_224_whole]
pipeline_soft = [*_base_.load, *_base_.byol_224]
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
    dataset=dict(pipeline=[*_base_.load, *_files, *_base_.byol_224]))
