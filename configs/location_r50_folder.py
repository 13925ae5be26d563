"""Location contrast, ResNet-50, any folder of images (searched with its subfolders).

Nobody published it: rate and decay are those of our DetCon_S. For fewer than some 100,000 images
or another length add `recipe=auto train_cfg.max_iters=N`.
Patches of the view instead of cells of its map, each encoded by itself: `model.instances=patches
model.num_grid=7`.
Cost: 100,000 steps of 256 images; not run by us.
Command: tools/dist_train.sh configs/location_r50_folder.py 8 \
    --cfg-options train_dataloader.dataset.data_root=/my/images
"""
_base_ = [
    '_base_/mmdense.py',
    '_base_/pretrain_runtime.py',
    '_base_/methods/location.py',
    '_base_/backbones/r50_syncbn.py',
    '_base_/datasets/unlabelled_folder.py',
    '_base_/schedules/lars.py',
]
model = _base_.network
optim_wrapper = dict(optimizer=dict(lr=0.3, weight_decay=1e-6))
