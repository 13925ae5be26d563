"""mmpretrain's own DenseCL, published recipe as it is, on CamVid's two older drives.

Changed from mmpretrain's config for ImageNet: ResNet-18, views of 96 pixels, 400 steps of 32
images (2 processes of 16) at a rate scaled linearly.
Queue, momentum, temperature, heads, augmentation and optimiser are mmpretrain's. The log has frozen
mIoU on the new drive.
Data: data/camvid.
Cost: estimated from two steps: 15 minutes on 2 CPU cores.
Command: tools/dist_train.sh configs/mmpretrain/densecl_resnet18_camvid.py 2
"""
_base_ = [
    '../_base_/mmdense.py',
    '../_base_/pretrain_runtime.py',
    '../_base_/models/mmpretrain_densecl_r18.py',
    '../_base_/datasets/unlabelled_camvid_mmpretrain.py',
    '../_base_/datasets/frozen_camvid.py',
    '../_base_/schedules/mmpretrain_sgd.py',
]
default_hooks = dict(checkpoint=dict(interval=200))
