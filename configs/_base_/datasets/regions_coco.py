"""COCO train2017 with FH's regions from files, 1024 per step on 8 processes."""
_base_ = ['./unlabelled_folder.py', './region_views.py']

_files = [dict(type='mmdense.LoadRegions', images='data/coco/train2017',
               folder='data/coco/regions_fh')]
train_dataloader = dict(
    batch_size=128,
    dataset=dict(data_root='data/coco/train2017',
                 pipeline=[*_base_.load, *_files, *_base_.byol_224]))
