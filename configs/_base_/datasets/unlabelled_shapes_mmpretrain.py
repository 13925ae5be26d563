"""The images of unlabelled_shapes.py in mmpretrain's own views of 64 pixels."""
_base_ = ['./unlabelled_shapes.py', './mmpretrain_views.py']

train_dataloader = dict(
    collate_fn=dict(type='default_collate'),
    dataset=dict(pipeline=[*_base_.load, *_base_.mmpretrain_views_64]))
