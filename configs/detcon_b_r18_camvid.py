"""DetCon_B, ResNet-18, CamVid's older drives (266 images), FH's regions.

Frozen mIoU is of the new drive. The auto recipe at 400 steps of 32 images: 2 processes of 16.
One process needs `--cfg-options train_dataloader.batch_size=32`, four need 8.
Data: data/camvid.
Cost: 9 minutes on 2 CPU cores with --amp (bfloat16), other work beside.
Command: tools/dist_train.sh configs/detcon_b_r18_camvid.py 2
"""
_base_ = [
    '_base_/mmdense.py',
    '_base_/pretrain_runtime.py',
    '_base_/methods/small/detcon_b.py',
    '_base_/backbones/r18_s16.py',
    '_base_/datasets/unlabelled_camvid.py',
    '_base_/datasets/frozen_camvid.py',
    '_base_/schedules/auto.py',
]
model = _base_.network
train_dataloader = dict(dataset=dict(pipeline=_base_.pipeline_fh))
default_hooks = dict(checkpoint=dict(interval=200))
