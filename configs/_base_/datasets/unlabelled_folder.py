"""All images under a folder, 256 per step on 8 processes; the config sets ``dataset.data_root``.

Two views as MoCo v2 makes them. For a method with regions a config takes a ``pipeline_…``:
regions made on the fly (``fh``, ``grid``), or the views for ``clustered`` and ``soft`` ones. For a
predictive pretext its own, such as ``pipeline_plr``.
"""
_base_ = ['./moco_v2.py', './region_views.py', './pretext_views.py']

pipeline_fh = [*_base_.load, *_base_.fh, *_base_.byol_224]
pipeline_grid = [*_base_.load, *_base_.grid, *_base_.byol_224]
pipeline_clustered = [*_base_.load, *_base_.byol_224_whole]
pipeline_soft = [*_base_.load, *_base_.byol_224]
pipeline_distill = [*_base_.load, *_base_.taught_224]
pipeline_plr = [*_base_.load, *_base_.turned_224]
pipeline_relative_position = [*_base_.load, *_base_.neighbours_96]
pipeline_exemplar = [*_base_.load, *_base_.copies_96]
pipeline_colorization = [*_base_.load, *_base_.lightness_224]
train_dataloader = dict(
    batch_size=32,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='mmdense.ResumableSampler', shuffle=True),
    dataset=dict(
        type='mmdense.UnlabelledDataset',
        data_root=None,
        pipeline=_base_.load + _base_.views_224))
