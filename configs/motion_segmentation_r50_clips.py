"""Motion segmentation, ResNet-50, frames of videos with masks of what moves.

Settings *not verified*: ``_base_/methods/motion_segmentation.py``; rate and length are those of
moco_r50_folder.py.
Data: data/clips/frames, a folder of frames for each clip, and data/clips/motion, which
    python tools/make_motion_masks.py data/clips/frames data/clips/motion
writes (of videos as well).
Cost: 100,000 steps of 256 images; not run by us.
Command: tools/dist_train.sh configs/motion_segmentation_r50_clips.py 8
"""
_base_ = [
    '_base_/mmdense.py',
    '_base_/pretrain_runtime.py',
    '_base_/methods/motion_segmentation.py',
    '_base_/backbones/r50_s16.py',
    '_base_/datasets/clips.py',
    '_base_/schedules/sgd.py',
]
model = _base_.network
