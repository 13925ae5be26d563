"""DetCon_B, ResNet-50, COCO train2017, FH's regions, 1000 epochs (ours).

Data: data/coco/train2017 (118,287 images) and its regions:
    python tools/make_regions.py data/coco/train2017 data/coco/regions_fh
Cost: 115,000 steps of 1024 images; not run by us.
Command: tools/dist_train.sh configs/detcon_b_r50_coco.py 8
"""
_base_ = [
    '_base_/mmdense.py',
    '_base_/pretrain_runtime.py',
    '_base_/models/detcon_b_r50.py',
    '_base_/datasets/regions_coco.py',
    '_base_/schedules/detcon_b_coco.py',
]
