"""DetCon_S, ResNet-50, COCO train2017, FH's regions, 1000 epochs (ours).

The widths of the head, the rate and the decay are ours: DetCon_S's program was never published.
Data: data/coco/train2017 (118,287 images) and its regions:
    python tools/make_regions.py data/coco/train2017 data/coco/regions_fh
Cost: 115,000 steps of 1024 images; not run by us.
Command: tools/dist_train.sh configs/detcon_s_r50_coco.py 8
"""
_base_ = [
    '_base_/mmdense.py',
    '_base_/pretrain_runtime.py',
    '_base_/models/detcon_s_r50.py',
    '_base_/datasets/regions_coco.py',
    '_base_/schedules/detcon_s_coco.py',
]
