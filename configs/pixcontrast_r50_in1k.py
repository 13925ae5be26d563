"""PixContrast, ResNet-50, ImageNet-1k, 100 epochs, 5 of them warm-up.

PixPro's published recipe: batches of 1024, rate 1.0 x batch / 256, decay 1e-5.
Temperature and threshold of the method are *not verified*: it was never released.
Data: data/imagenet/train (the labels, its folders, are not used).
Cost: 125,100 steps of 1024 images; not run by us.
Command: tools/dist_train.sh configs/pixcontrast_r50_in1k.py 8
"""
_base_ = [
    '_base_/mmdense.py',
    '_base_/pretrain_runtime.py',
    '_base_/methods/pixcontrast.py',
    '_base_/backbones/r50_syncbn.py',
    '_base_/datasets/unlabelled_folder.py',
    '_base_/schedules/lars_in1k_100e.py',
]
model = _base_.network
train_dataloader = dict(batch_size=128, dataset=dict(
    data_root='data/imagenet/train', pipeline=_base_.pipeline_soft))
