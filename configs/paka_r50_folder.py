"""PaKA, ResNet-50 at stride 16, any folder of images (searched with its subfolders).

MoCo v2's rate, ours here, over 100,000 steps; for fewer than some 100,000 images or another length
add `recipe=auto train_cfg.max_iters=N`. Name a start: random weights learn places.
Cost: 100,000 steps of 256 images; not run by us.
Command: tools/dist_train.sh configs/paka_r50_folder.py 8 \
    --cfg-options train_dataloader.dataset.data_root=/my/images \
    model.backbone.init_cfg.checkpoint=moco_v2_800ep_pretrain.pth.tar
"""
_base_ = [
    '_base_/mmdense.py',
    '_base_/pretrain_runtime.py',
    '_base_/methods/paka.py',
    '_base_/backbones/r50_s16.py',
    '_base_/datasets/unlabelled_folder.py',
    '_base_/schedules/sgd.py',
]
model = _base_.network
