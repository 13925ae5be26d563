"""DetCon_B, ResNet-50, COCO train2017, FH's regions, 1000 epochs (ours).

Data: data/coco/train2017 (118,287 images) and its regions:
    python tools/make_regions.py data/coco/train2017 data/coco/regions_fh
Cost: 115,000 steps of 1024 images; not run by us.
Command: tools/dist_train.sh configs/detcon_b_r50_coco.py 8
"""
_base_ = [
    '_base_/mmdense.py',
    '_base_/pretrain_runtime.py',
    '_base_/methods/detcon_b.py',
    '_base_/backbones/r50_syncbn.py',
    '_base_/datasets/unlabelled_folder.py',
    '_base_/schedules/lars_coco.py',
]
model = _base_.network
train_dataloader = dict(
    batch_size=128,
    dataset=dict(
        data_root='data/coco/train2017',
        pipeline=[
            *_base_.load,
            dict(type='mmdense.LoadRegions', images='data/coco/train2017',
                 folder='data/coco/regions_fh'),
            *_base_.byol_224]))
