"""EDMoCo, ResNet-50, VOC 2012 trainaug, 20 epochs from MoCo, MoCoFCN's decoder.

Fine-tuned with MoCoFCN: 71.42 mIoU in the founding notes, 72.65 without the 20 epochs.
The notes name no rate: MoCo v2's, the whole network at one rate.
Data: data/VOCdevkit/VOC2012 with trainaug.txt, which mmseg's voc_aug.py converter writes.
Cost: 820 steps of 256 images; not run by us.
Command: tools/dist_train.sh configs/continue/edmoco_mocofcn_r50_voc.py 8 --cfg-options \
    model.backbone.init_cfg.checkpoint=CHECKPOINT
"""
_base_ = [
    '../_base_/mmdense.py',
    '../_base_/pretrain_runtime.py',
    '../_base_/methods/edmoco.py',
    '../_base_/backbones/r50_s16.py',
    '../_base_/datasets/unlabelled_voc.py',
    '../_base_/datasets/frozen_voc.py',
    '../_base_/schedules/sgd.py',
]
iterations = 20 * (10_582 // 256)
model = dict(_base_.network, queue=dict(size=4096, own_image='masked'))
param_scheduler = [dict(_base_.cosine, end=iterations)]
train_cfg = dict(max_iters=iterations, val_interval=iterations // 4)
