"""DetCon_B, ResNet-18, 300 images of BSDS500, regions as a person drew them.

Frozen mIoU is of CamVid's new drive. The auto recipe at 400 steps of 32 images: 2 processes of 16.
One process needs `--cfg-options train_dataloader.batch_size=32`, four need 8.
Data: data/bsds/images and data/bsds/regions, and data/camvid to measure.
Cost: 8 minutes on 2 CPU cores with --amp (bfloat16).
Command: tools/dist_train.sh configs/detcon_b_r18_bsds.py 2
"""
_base_ = [
    '_base_/mmdense.py',
    '_base_/pretrain_runtime.py',
    '_base_/models/detcon_b_r18.py',
    '_base_/datasets/regions_bsds.py',
    '_base_/datasets/frozen_camvid.py',
    '_base_/schedules/auto.py',
]
default_hooks = dict(checkpoint=dict(interval=200))
