"""DetCon_B, ResNet-50, any folder of images (searched with its subfolders), FH's regions.

Regions are made on the fly: 25 ms of CPU per image of 481x321. For large images make files once
(tools/make_regions.py IMAGES OUT --options scale=300 min_size=0.0065, which are the settings here)
and put mmdense.LoadRegions in the place of mmdense.MakeRegions.
For fewer than some 100,000 images or another length add `recipe=auto train_cfg.max_iters=N`:
everything else then follows from the data; tools/check.py with the same options says what.
Cost: 100,000 steps of 256 images; not run by us.
Command: tools/dist_train.sh configs/detcon_b_r50_folder.py 8 \
    --cfg-options train_dataloader.dataset.data_root=/my/images
"""
_base_ = [
    '_base_/mmdense.py',
    '_base_/pretrain_runtime.py',
    '_base_/methods/detcon_b.py',
    '_base_/backbones/r50_syncbn.py',
    '_base_/datasets/unlabelled_folder.py',
    '_base_/schedules/lars.py',
]
model = _base_.network
train_dataloader = dict(dataset=dict(pipeline=_base_.pipeline_fh))
