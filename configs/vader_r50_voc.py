"""VADeR, ResNet-50 with a decoder of four maps, VOC 2012 trainaug, 20 epochs from MoCo v2.

Settings *not verified* (no code was released): ``_base_/methods/vader.py``. Frozen mIoU on val is
that of the decoder's map. Old keys of a query's own image are no negatives.
Data: data/VOCdevkit/VOC2012 with trainaug.txt, which mmseg's voc_aug.py converter writes.
Cost: 820 steps of 256 images; not run by us.
Command: tools/dist_train.sh configs/vader_r50_voc.py 8 --cfg-options \
    model.backbone.init_cfg.checkpoint=work_dirs/moco_r50_in1k/iter_1000800.pth
"""
_base_ = [
    '_base_/mmdense.py',
    '_base_/pretrain_runtime.py',
    '_base_/methods/vader.py',
    '_base_/backbones/r50_maps.py',
    '_base_/datasets/unlabelled_voc.py',
    '_base_/datasets/frozen_voc.py',
    '_base_/schedules/sgd.py',
]
iterations = 20 * (10_582 // 256)
model = dict(_base_.network, queue=dict(own_image='masked'))
param_scheduler = [dict(_base_.cosine, end=iterations)]
train_cfg = dict(max_iters=iterations, val_interval=iterations // 4)
