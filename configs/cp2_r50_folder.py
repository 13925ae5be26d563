"""CP2, ResNet-50 with ASPP, any folder of images (searched with its subfolders).

The published rate; as many steps as Quick Tuning on ImageNet takes. With fewer than some 100,000
images, or for another length, add `recipe=auto train_cfg.max_iters=N`. It starts from a
checkpoint of the same backbone, of any method, or random without one.
Cost: 100,000 steps of 256 images; not run by us.
Command: tools/dist_train.sh configs/cp2_r50_folder.py 8 --cfg-options \
    train_dataloader.dataset.data_root=/my/images \
    model.backbone.init_cfg.checkpoint=work_dirs/moco_r50_folder/iter_100000.pth
"""
_base_ = [
    '_base_/mmdense.py',
    '_base_/pretrain_runtime.py',
    '_base_/methods/cp2.py',
    '_base_/backbones/r50_s16.py',
    '_base_/datasets/unlabelled_folder.py',
    '_base_/schedules/sgd.py',
]
model = _base_.network
optim_wrapper = dict(optimizer=dict(lr=0.015))
