"""Patch-level rotation, ResNet-50 with MoCoFCN's decoder, any folder of images (with subfolders).

The decoder's rate is 0.01, the encoder's a hundredth of it. With fewer than some 100,000 images, or
for another length, add `recipe=auto train_cfg.max_iters=N`. It starts from a checkpoint of the same
backbone, of any method, or random without one.
Cost: 100,000 steps of 256 images; not run by us.
Command: tools/dist_train.sh configs/plr_r50_folder.py 8 --cfg-options \
    train_dataloader.dataset.data_root=/my/images \
    model.backbone.init_cfg.checkpoint=work_dirs/moco_r50_folder/iter_100000.pth
"""
_base_ = [
    '_base_/mmdense.py',
    '_base_/pretrain_runtime.py',
    '_base_/methods/plr.py',
    '_base_/backbones/r50_s16.py',
    '_base_/datasets/unlabelled_folder.py',
    '_base_/schedules/sgd.py',
]
model = _base_.network
train_dataloader = dict(dataset=dict(pipeline=_base_.pipeline_plr))
optim_wrapper = dict(
    optimizer=dict(lr=0.01),
    paramwise_cfg=dict(custom_keys={'backbone': dict(lr_mult=0.01)}))
