"""DenseCL, ResNet-50, any folder of images (searched with its subfolders).

The published recipe for ImageNet over 100,000 steps. For fewer than some 100,000 images or another
length add `recipe=auto train_cfg.max_iters=N`: everything else then follows from the data;
`python tools/check.py configs/densecl_r50_folder.py` with the same options says what would be set.
To log frozen mIoU as it trains, inherit this config together with a file that has labels:
`_base_ = ['densecl_r50_folder.py', '_base_/datasets/frozen_voc.py']`.
Cost: 100,000 steps of 256 images; at the published speed about 5.5 hours on 8 V100.
Command: tools/dist_train.sh configs/densecl_r50_folder.py 8 \
    --cfg-options train_dataloader.dataset.data_root=/my/images
"""
_base_ = [
    '_base_/mmdense.py',
    '_base_/pretrain_runtime.py',
    '_base_/methods/densecl.py',
    '_base_/backbones/r50.py',
    '_base_/datasets/unlabelled_folder.py',
    '_base_/schedules/sgd.py',
]
model = _base_.network
