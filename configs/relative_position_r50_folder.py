"""Relative position, ResNet-50, any folder of images (with its subfolders).

Settings *not verified*: ``_base_/methods/relative_position.py``;
rate and length are those of moco_r50_folder.py. With fewer
than some 100,000 images, or for another length, add `recipe=auto train_cfg.max_iters=N`.
Cost: 100,000 steps of 256 images; not run by us.
Command: tools/dist_train.sh configs/relative_position_r50_folder.py 8 \
    --cfg-options train_dataloader.dataset.data_root=/my/images
"""
_base_ = [
    '_base_/mmdense.py',
    '_base_/pretrain_runtime.py',
    '_base_/methods/relative_position.py',
    '_base_/backbones/r50.py',
    '_base_/datasets/unlabelled_folder.py',
    '_base_/schedules/sgd.py',
]
model = _base_.network
train_dataloader = dict(dataset=dict(pipeline=_base_.pipeline_relative_position))
