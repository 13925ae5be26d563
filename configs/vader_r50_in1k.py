"""VADeR, ResNet-50 with a decoder of four maps, ImageNet-1k, 20 epochs from MoCo v2.

Settings *not verified* (no code was released): ``_base_/methods/vader.py``; rate and length are
ours.
Data: data/imagenet/train (the labels, its folders, are not used).
Cost: 100,080 steps of 256 images; not run by us.
Command: tools/dist_train.sh configs/vader_r50_in1k.py 8 --cfg-options \
    model.backbone.init_cfg.checkpoint=work_dirs/moco_r50_in1k/iter_1000800.pth
"""
_base_ = [
    '_base_/mmdense.py',
    '_base_/pretrain_runtime.py',
    '_base_/methods/vader.py',
    '_base_/backbones/r50_maps.py',
    '_base_/datasets/unlabelled_folder.py',
    '_base_/schedules/sgd.py',
]
iterations = 20 * (1_281_167 // 256)
model = _base_.network
train_dataloader = dict(dataset=dict(data_root='data/imagenet/train'))
param_scheduler = [dict(_base_.cosine, end=iterations)]
train_cfg = dict(max_iters=iterations, val_interval=iterations)
