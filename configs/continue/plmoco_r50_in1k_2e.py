"""PLMoCo, ResNet-50, ImageNet-1k, 2 epochs from MoCo.

Fine-tuned with MoCoFCN: 73.27 mIoU in the founding notes, 72.65 without the 2 epochs; with
PSPNet: 73.41, and 75.45 without (at another rate).
The notes name no rate: MoCo v2's.
Data: data/imagenet/train (the labels, its folders, are not used).
Cost: 10,008 steps of 256 images; not run by us.
Command: tools/dist_train.sh configs/continue/plmoco_r50_in1k_2e.py 8 --cfg-options \
    model.backbone.init_cfg.checkpoint=CHECKPOINT
"""
_base_ = [
    '../_base_/mmdense.py',
    '../_base_/pretrain_runtime.py',
    '../_base_/methods/plmoco.py',
    '../_base_/backbones/r50_s16.py',
    '../_base_/datasets/unlabelled_folder.py',
    '../_base_/schedules/sgd.py',
]
iterations = 2 * (1_281_167 // 256)
model = dict(
    _base_.network,
    backbone=dict(
        _base_.network.backbone,
        init_cfg=dict(type='mmdense.PretrainedBackbone', checkpoint=None)))
train_dataloader = dict(dataset=dict(data_root='data/imagenet/train'))
param_scheduler = [dict(_base_.cosine, end=iterations)]
train_cfg = dict(max_iters=iterations, val_interval=iterations)
