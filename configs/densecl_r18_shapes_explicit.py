"""densecl_r18_shapes.py with the values of the auto recipe written out, to change one at a time.

They are those of 600 images and 400 steps of 32: 2 processes of 16. Greyscale and blur, which are
off, only draw random numbers. The rows of tables/small_recipe.py are made of it.
Data: data/shapes, generated on first use.
Cost: about 5 minutes on 2 CPU cores.
Command: tools/dist_train.sh configs/densecl_r18_shapes_explicit.py 2
"""
_base_ = [
    '_base_/mmdense.py',
    '_base_/pretrain_runtime.py',
    '_base_/models/densecl_r18.py',
    '_base_/datasets/unlabelled_shapes_explicit.py',
    '_base_/datasets/frozen_shapes.py',
    '_base_/schedules/auto.py',
]
recipe = 'published'
model = dict(
    backbone=dict(strides=(1, 2, 2, 1)),
    queue=dict(size=300, own_image='masked', init='empty'),
    twin=dict(momentum=0.9, bn='shuffle'),
    dense_warmup=200)
default_hooks = dict(checkpoint=dict(interval=100))
