"""ImageNet's training images with FH's regions from files, 1024 per step on 8 processes."""
_base_ = ['./unlabelled_folder.py', './region_views.py']

_files = [dict(type='mmdense.LoadRegions', images='data/imagenet/train',
               folder='data/imagenet/regions_fh')]
train_dataloader = dict(
    batch_size=128,
    dataset=dict(data_root='data/imagenet/train',
                 pipeline=[*_base_.load, *_files, *_base_.byol_224]))
