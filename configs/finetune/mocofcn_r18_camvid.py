"""MoCoFCN, ResNet-18, 34 labelled images of CamVid, scored on a drive never trained on.

Data: data/camvid.
Cost: about 6 minutes on 2 CPU cores (2 processes).
Command: tools/dist_train.sh configs/finetune/mocofcn_r18_camvid.py 2 \
    --cfg-options model.backbone.init_cfg.checkpoint=work_dirs/densecl_r18_camvid/iter_400.pth
"""
_base_ = [
    '../_base_/mmdense.py',
    '../_base_/finetune_runtime.py',
    '../_base_/segmentors/mocofcn_r18.py',
    '../_base_/datasets/camvid.py',
    '../_base_/schedules/finetune_adamw.py',
]
iterations = 600
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(num_classes=_base_.num_classes))
train_dataloader = dict(batch_size=4)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = [dict(_base_.warmup, end=iterations // 20),
                   dict(_base_.cosine, begin=iterations // 20, end=iterations)]
train_cfg = dict(max_iters=iterations, val_interval=iterations)
default_hooks = dict(checkpoint=dict(interval=200))
