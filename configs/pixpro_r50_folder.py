"""PixPro, ResNet-50, any folder of images (searched with its subfolders).

PixPro's rate, 1.0 x batch / 256, and decay over 100,000 steps. For fewer than some 100,000 images
or another length add `recipe=auto train_cfg.max_iters=N`.
Cost: 100,000 steps of 256 images; not run by us.
Command: tools/dist_train.sh configs/pixpro_r50_folder.py 8 \
    --cfg-options train_dataloader.dataset.data_root=/my/images
"""
_base_ = [
    '_base_/mmdense.py',
    '_base_/pretrain_runtime.py',
    '_base_/methods/pixpro.py',
    '_base_/backbones/r50_syncbn.py',
    '_base_/datasets/unlabelled_folder.py',
    '_base_/schedules/lars.py',
]
model = _base_.network
train_dataloader = dict(dataset=dict(pipeline=_base_.pipeline_soft))
optim_wrapper = dict(optimizer=dict(lr=1.0, weight_decay=1e-5))
