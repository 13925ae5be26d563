"""600 generated images of one object each, 128x128, without labels, 32 per step on 2 processes."""
_base_ = './unlabelled_shapes.py'

train_dataloader = dict(
    dataset=dict(
        dataset=dict(_delete_=True, type='mmdense.ShapeObjectsDataset',
                     data_root='data/shapes_objects', num_images=600)))
