"""Patch-level rotation, ResNet-50 with MoCoFCN's decoder, ImageNet-1k, 20 epochs from MoCo v2.

The decoder's rate is 0.01, the encoder's a hundredth of it.
Data: data/imagenet/train (the labels, its folders, are not used).
Cost: 100,080 steps of 256 images; not run by us.
Command: tools/dist_train.sh configs/plr_r50_in1k.py 8 --cfg-options \
    model.backbone.init_cfg.checkpoint=work_dirs/moco_r50_in1k/iter_1000800.pth
"""
_base_ = [
    '_base_/mmdense.py',
    '_base_/pretrain_runtime.py',
    '_base_/methods/plr.py',
    '_base_/backbones/r50_s16.py',
    '_base_/datasets/unlabelled_folder.py',
    '_base_/schedules/sgd.py',
]
iterations = 20 * (1_281_167 // 256)
model = _base_.network
train_dataloader = dict(dataset=dict(
    data_root='data/imagenet/train', pipeline=_base_.pipeline_plr))
optim_wrapper = dict(
    optimizer=dict(lr=0.01),
    paramwise_cfg=dict(custom_keys={'backbone': dict(lr_mult=0.01)}))
param_scheduler = [dict(_base_.cosine, end=iterations)]
train_cfg = dict(max_iters=iterations, val_interval=iterations)
