"""Location contrast, ResNet-50, ImageNet-1k, 1000 epochs.

Nobody published it: rate, decay, batch and length are those of our DetCon_S.
Data: data/imagenet/train (the labels, its folders, are not used).
Cost: 1,251,000 steps of 1024 images; not run by us.
Command: tools/dist_train.sh configs/location_r50_in1k.py 8
"""
_base_ = [
    '_base_/mmdense.py',
    '_base_/pretrain_runtime.py',
    '_base_/methods/location.py',
    '_base_/backbones/r50_syncbn.py',
    '_base_/datasets/unlabelled_folder.py',
    '_base_/schedules/lars_in1k.py',
]
model = _base_.network
train_dataloader = dict(batch_size=128, dataset=dict(data_root='data/imagenet/train'))
optim_wrapper = dict(optimizer=dict(lr=0.3 * 1024 / 256, weight_decay=1e-6))
