"""MoCoFCN, ResNet-18, 60 labelled generated scenes, scored on 150 others.

Data: data/shapes, generated on first use.
Cost: about 1 minute on 2 CPU cores (2 processes).
Command: tools/dist_train.sh configs/finetune/mocofcn_r18_shapes.py 2 \
    --cfg-options model.backbone.init_cfg.checkpoint=work_dirs/densecl_r18_shapes/iter_400.pth
"""
_base_ = [
    '../_base_/mmdense.py',
    '../_base_/finetune_runtime.py',
    '../_base_/segmentors/mocofcn_r18.py',
    '../_base_/datasets/shapes.py',
    '../_base_/schedules/finetune_adamw.py',
]
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(num_classes=_base_.num_classes))
train_dataloader = dict(batch_size=4)
default_hooks = dict(checkpoint=dict(interval=40))
