"""DetCon_B, ResNet-50, any folder of images and its subfolders, learnt soft regions.

For fewer than some 100,000 images or another length add `recipe=auto train_cfg.max_iters=N`:
everything else then follows from the data; tools/check.py with the same options says what.
Cost: 100,000 steps of 256 images; not run by us.
Command: tools/dist_train.sh configs/detcon_b_r50_folder_soft.py 8 \
    --cfg-options train_dataloader.dataset.data_root=/my/images
"""
_base_ = [
    '_base_/mmdense.py',
    '_base_/pretrain_runtime.py',
    '_base_/models/detcon_b_r50.py',
    '_base_/datasets/regions_folder.py',
    '_base_/schedules/detcon_b_folder.py',
]
train_dataloader = dict(dataset=dict(pipeline=_base_.pipeline_soft))
model = dict(regions=dict(_delete_=True, type='mmdense.SoftRegions', in_channels=2048,
                          num_regions=64, norm_cfg=dict(type='SyncBN')))
