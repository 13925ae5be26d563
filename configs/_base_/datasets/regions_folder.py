"""All images under a folder with FH's regions made on the fly, 256 a step on 8 processes."""
_base_ = ['./unlabelled_folder.py', './region_views.py']

train_dataloader = dict(dataset=dict(pipeline=[*_base_.load, *_base_.fh, *_base_.byol_224]))
