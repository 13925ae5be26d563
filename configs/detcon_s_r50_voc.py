"""DetCon_S, ResNet-50, VOC 2012 trainaug, FH's regions.

The widths of the head, the rate and the decay are ours: DetCon_S's program was never published.
Data: data/VOCdevkit/VOC2012 with trainaug.txt, which mmseg's voc_aug.py converter writes; regions:
    python tools/make_regions.py data/VOCdevkit/VOC2012/JPEGImages \
        data/VOCdevkit/VOC2012/regions_fh
Cost: 65,600 steps of 256 images; not run by us.
Command: tools/dist_train.sh configs/detcon_s_r50_voc.py 8
"""
_base_ = [
    '_base_/mmdense.py',
    '_base_/pretrain_runtime.py',
    '_base_/methods/detcon_s.py',
    '_base_/backbones/r50_syncbn.py',
    '_base_/datasets/unlabelled_voc.py',
    '_base_/datasets/frozen_voc.py',
    '_base_/schedules/lars_voc.py',
]
model = _base_.network
train_dataloader = dict(dataset=dict(pipeline=_base_.pipeline_fh))
optim_wrapper = dict(optimizer=dict(lr=0.3, weight_decay=1e-6))
