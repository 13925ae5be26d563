"""DenseCL, ResNet-50, ImageNet-1k, 200 epochs: the published recipe (2011.09157).

Data: data/imagenet/train (the labels, its folders, are not used).
Cost: 1,000,800 steps of 256 images; published: 2.3 days on 8 V100.
Command: tools/dist_train.sh configs/densecl_r50_in1k.py 8
"""
_base_ = [
    '_base_/mmdense.py',
    '_base_/pretrain_runtime.py',
    '_base_/methods/densecl.py',
    '_base_/backbones/r50.py',
    '_base_/datasets/unlabelled_folder.py',
    '_base_/schedules/sgd_in1k.py',
]
model = _base_.network
train_dataloader = dict(dataset=dict(data_root='data/imagenet/train'))
