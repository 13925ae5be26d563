"""DetCon_B, ResNet-18, 300 images of BSDS500, FH's regions.

Frozen mIoU is of CamVid's new drive. The auto recipe at 400 steps of 32 images: 2 processes of 16.
One process needs `--cfg-options train_dataloader.batch_size=32`, four need 8.
Data: data/bsds/images, data/camvid to measure, and regions:
    python tools/make_regions.py data/bsds/images data/bsds_regions_fh \
        --options scale=300 min_size=0.0065
Cost: 8 minutes on 2 CPU cores with --amp (bfloat16).
Command: tools/dist_train.sh configs/detcon_b_r18_bsds_fh.py 2
"""
_base_ = [
    '_base_/mmdense.py',
    '_base_/pretrain_runtime.py',
    '_base_/models/detcon_b_r18.py',
    '_base_/datasets/regions_bsds.py',
    '_base_/datasets/frozen_camvid.py',
    '_base_/schedules/auto.py',
]
train_dataloader = dict(dataset=dict(pipeline=_base_.pipeline_fh))
default_hooks = dict(checkpoint=dict(interval=200))
