"""The images of unlabelled_camvid.py in mmpretrain's own views of 96 pixels."""
_base_ = ['./unlabelled_camvid.py', './mmpretrain_views.py']

train_dataloader = dict(
    collate_fn=dict(type='default_collate'),
    dataset=dict(pipeline=[*_base_.load, dict(type='Resize', scale=(240, 180)),
                           *_base_.mmpretrain_views_96]))
