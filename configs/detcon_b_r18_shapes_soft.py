"""DetCon_B, ResNet-18, 600 generated scenes, learnt soft regions.

Frozen mIoU is of others. The auto recipe at 400 steps of 32 images: 2 processes of 16.
One process needs `--cfg-options train_dataloader.batch_size=32`, four need 8.
Data: data/shapes, generated on first use.
Cost: 8 minutes on 2 CPU cores with --amp (bfloat16), other work beside.
Command: tools/dist_train.sh configs/detcon_b_r18_shapes_soft.py 2
"""
_base_ = [
    '_base_/mmdense.py',
    '_base_/pretrain_runtime.py',
    '_base_/models/detcon_b_r18.py',
    '_base_/datasets/regions_shapes.py',
    '_base_/datasets/frozen_shapes.py',
    '_base_/schedules/auto.py',
]
train_dataloader = dict(dataset=dict(pipeline=_base_.pipeline_soft))
model = dict(regions=dict(_delete_=True, type='mmdense.SoftRegions', in_channels=512,
                          norm_cfg=dict(type='BN')))
default_hooks = dict(checkpoint=dict(interval=100))
