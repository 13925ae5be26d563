"""PaKA, ResNet-50 at stride 16, ImageNet-1k.

Rate and length are those of moco_r50_in1k.py, ours here. Name a start: random weights learn places.
Data: data/imagenet/train (the labels, its folders, are not used).
Cost: 1,000,800 steps of 256 images; not run by us.
Command: tools/dist_train.sh configs/paka_r50_in1k.py 8 \
    --cfg-options model.backbone.init_cfg.checkpoint=moco_v2_800ep_pretrain.pth.tar
"""
_base_ = [
    '_base_/mmdense.py',
    '_base_/pretrain_runtime.py',
    '_base_/methods/paka.py',
    '_base_/backbones/r50_s16.py',
    '_base_/datasets/unlabelled_folder.py',
    '_base_/schedules/sgd_in1k.py',
]
model = _base_.network
train_dataloader = dict(dataset=dict(data_root='data/imagenet/train'))
