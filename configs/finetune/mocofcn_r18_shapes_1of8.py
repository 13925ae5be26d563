"""MoCoFCN, ResNet-18, 8 labelled generated scenes (an eighth of 60), scored on 150 others.

Data: data/shapes, generated on first use.
Cost: about 1 minute on 2 CPU cores (2 processes).
Command: tools/dist_train.sh configs/finetune/mocofcn_r18_shapes_1of8.py 2 \
    --cfg-options model.backbone.init_cfg.checkpoint=work_dirs/densecl_r18_shapes/iter_400.pth
"""
_base_ = [
    '../_base_/mmdense.py',
    '../_base_/finetune_runtime.py',
    '../_base_/models/mocofcn_r18.py',
    '../_base_/datasets/shapes_1of8.py',
    '../_base_/schedules/finetune_shapes.py',
]
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(num_classes=_base_.num_classes))
train_dataloader = dict(batch_size=_base_.batch_size)
default_hooks = dict(checkpoint=dict(interval=40))
