"""PLMoCo, ResNet-50 at stride 16, the 10,582 images of VOC 2012 trainaug, with frozen mIoU on val.

DenseCL's rate and our length for these images. Old keys of a query's own image are no negatives:
the queue has cells of a tenth of the images.
Data: data/VOCdevkit/VOC2012 with trainaug.txt, which mmseg's voc_aug.py converter writes.
Cost: 65,600 steps of 256 images; not run by us.
Command: tools/dist_train.sh configs/plmoco_r50_voc.py 8
"""
_base_ = [
    '_base_/mmdense.py',
    '_base_/pretrain_runtime.py',
    '_base_/methods/plmoco.py',
    '_base_/backbones/r50_s16.py',
    '_base_/datasets/unlabelled_voc.py',
    '_base_/datasets/frozen_voc.py',
    '_base_/schedules/sgd_voc.py',
]
model = dict(
    _base_.network,
    queue=dict(own_image='masked'),
    image_queue=dict(size=4096, own_image='masked'))
