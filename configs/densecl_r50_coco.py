"""DenseCL, ResNet-50, COCO train2017, 800 epochs: the published recipe (2011.09157).

Data: data/coco/train2017 (118,287 images).
Cost: 369,600 steps of 256 images; published: 1.0 day on 8 V100.
Command: tools/dist_train.sh configs/densecl_r50_coco.py 8
"""
_base_ = [
    '_base_/mmdense.py',
    '_base_/pretrain_runtime.py',
    '_base_/methods/densecl.py',
    '_base_/backbones/r50.py',
    '_base_/datasets/unlabelled_folder.py',
    '_base_/schedules/sgd_coco.py',
]
model = _base_.network
train_dataloader = dict(dataset=dict(data_root='data/coco/train2017'))
