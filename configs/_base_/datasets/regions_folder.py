"""All images under a folder, 256 per step on 8 processes: FH's regions made on the fly.

``pipeline_…`` has the other kinds.
"""
_base_ = ['./unlabelled_folder.py', './region_views.py']

pipeline_grid = [*_base_.load, *_base_.grid, *_base_.byol_224]
pipeline_clustered = [*_base_.load, *_base_.byol_224_whole]
pipeline_soft = [*_base_.load, *_base_.byol_224]
train_dataloader = dict(dataset=dict(pipeline=[*_base_.load, *_base_.fh, *_base_.byol_224]))
