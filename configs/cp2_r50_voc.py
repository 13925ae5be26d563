"""CP2, ResNet-50 with ASPP, VOC 2012 trainaug, from a MoCo v2 checkpoint, with frozen mIoU on val.

The published rate; 200 epochs are ours. Old keys of a query's own image are no negatives: the
queue would be full of them.
Data: data/VOCdevkit/VOC2012 with trainaug.txt, which mmseg's voc_aug.py converter writes.
Cost: 8,200 steps of 256 images; not run by us.
Command: tools/dist_train.sh configs/cp2_r50_voc.py 8 --cfg-options \
    model.backbone.init_cfg.checkpoint=work_dirs/moco_r50_in1k/iter_1000800.pth
"""
_base_ = [
    '_base_/mmdense.py',
    '_base_/pretrain_runtime.py',
    '_base_/methods/cp2.py',
    '_base_/backbones/r50_s16.py',
    '_base_/datasets/unlabelled_voc.py',
    '_base_/datasets/frozen_voc.py',
    '_base_/schedules/sgd.py',
]
iterations = 200 * (10_582 // 256)
model = dict(_base_.network, queue=dict(size=4096, own_image='masked'))
optim_wrapper = dict(optimizer=dict(lr=0.015))
param_scheduler = [dict(_base_.cosine, end=iterations)]
train_cfg = dict(max_iters=iterations, val_interval=iterations // 4)
