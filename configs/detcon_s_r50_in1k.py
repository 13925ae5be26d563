"""DetCon_S, ResNet-50, ImageNet-1k, FH's regions, 1000 epochs.

The widths of the head, the rate and the decay are ours: DetCon_S's program was never published.
Batches of 4096: four machines (NNODES=4), the rate with the batch, a quarter of the
steps: --cfg-options auto_scale_lr.enable=True train_cfg.max_iters=312000 param_scheduler.0.end=3120
param_scheduler.1.begin=3120 param_scheduler.1.end=312000
Data: data/imagenet/train and its regions, which take hours of a core:
    python tools/make_regions.py data/imagenet/train data/imagenet/regions_fh
Cost: 1,251,000 steps of 1024 images; not run by us.
Command: tools/dist_train.sh configs/detcon_s_r50_in1k.py 8
"""
_base_ = [
    '_base_/mmdense.py',
    '_base_/pretrain_runtime.py',
    '_base_/methods/detcon_s.py',
    '_base_/backbones/r50_syncbn.py',
    '_base_/datasets/unlabelled_folder.py',
    '_base_/schedules/lars_in1k.py',
]
model = _base_.network
train_dataloader = dict(
    batch_size=128,
    dataset=dict(
        data_root='data/imagenet/train',
        pipeline=[
            *_base_.load,
            dict(type='mmdense.LoadRegions', images='data/imagenet/train',
                 folder='data/imagenet/regions_fh'),
            *_base_.byol_224]))
optim_wrapper = dict(optimizer=dict(lr=0.3 * 1024 / 256, weight_decay=1e-6))
