"""MoCoFCN, ResNet-18, 195 labelled photos of animals and people, scored on 222 others.

Data: data/voc_animals.
Cost: 300 steps of 8 crops of 160 pixels; not timed.
Command: tools/dist_train.sh configs/finetune/mocofcn_r18_animals.py 1 \
    --cfg-options model.backbone.init_cfg.checkpoint=work_dirs/distill_r18_animals/iter_400.pth
"""
_base_ = [
    '../_base_/mmdense.py',
    '../_base_/finetune_runtime.py',
    '../_base_/segmentors/mocofcn_r18.py',
    '../_base_/datasets/animals.py',
    '../_base_/schedules/finetune_adamw.py',
]
iterations = 300
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(num_classes=_base_.num_classes))
train_dataloader = dict(batch_size=8)
param_scheduler = [dict(_base_.warmup, end=iterations // 20),
                   dict(_base_.cosine, begin=iterations // 20, end=iterations)]
train_cfg = dict(max_iters=iterations, val_interval=iterations)
default_hooks = dict(checkpoint=dict(interval=100))
