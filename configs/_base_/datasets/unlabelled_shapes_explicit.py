"""The scenes and views of unlabelled_shapes.py, with greyscale and blur there to be switched on.

Places in ``pipeline.2.views.0``: 0 crop, 1 flip, 2 colour, 3 greyscale, 4 blur.
"""
_base_ = './unlabelled_shapes.py'

_views = [dict(_base_.mild_crop, size=64), *_base_.mild,
          dict(type='mmdense.RandomGrayscale', prob=0.0),
          dict(type='mmdense.GaussianBlur', sigma=(0.1, 2.0), prob=0.0)]
train_dataloader = dict(
    dataset=dict(pipeline=[
        *_base_.load,
        dict(type='mmdense.MultiView', views=[_views], num_views=[2]),
        dict(type='mmdense.PackViews')]))
