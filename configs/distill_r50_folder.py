"""Distillation of DINOv2 ViT-B/14 into a ResNet-50, any folder of images (with its subfolders).

MoCo v2's rate and length, which are ours here. For fewer than some 100,000 images or another
length add `recipe=auto train_cfg.max_iters=N`. The teacher's file is yours to name.
Cost: 100,000 steps of 256 images; not run by us.
Command: tools/dist_train.sh configs/distill_r50_folder.py 8 \
    --cfg-options train_dataloader.dataset.data_root=/my/images \
    model.teacher.checkpoint=dinov2_vitb14_pretrain.pth
"""
_base_ = [
    '_base_/mmdense.py',
    '_base_/pretrain_runtime.py',
    '_base_/methods/distill.py',
    '_base_/backbones/r50.py',
    '_base_/datasets/unlabelled_folder.py',
    '_base_/schedules/sgd.py',
]
model = _base_.network
train_dataloader = dict(dataset=dict(pipeline=_base_.pipeline_distill))
