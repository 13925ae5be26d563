"""DenseCL, ResNet-18, CamVid's two older drives (266 images), with frozen mIoU on the new drive.

The auto recipe at 400 steps of 32 images: 2 processes of 16. One process needs
`--cfg-options train_dataloader.batch_size=32`, four need 8.
Data: data/camvid.
Cost: about 7 minutes on 2 CPU cores.
Command: tools/dist_train.sh configs/densecl_r18_camvid.py 2
"""
_base_ = [
    '_base_/mmdense.py',
    '_base_/pretrain_runtime.py',
    '_base_/methods/small/densecl.py',
    '_base_/backbones/r18.py',
    '_base_/datasets/unlabelled_camvid.py',
    '_base_/datasets/frozen_camvid.py',
    '_base_/schedules/auto.py',
]
model = _base_.network
default_hooks = dict(checkpoint=dict(interval=200))
