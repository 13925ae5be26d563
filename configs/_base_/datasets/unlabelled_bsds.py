"""BSDS500: 300 images of train and val, regions as a person drew them, 32 per step on 2 processes.

``pipeline_fh`` has FH's, from files of ``tools/make_regions.py``. Images lie in data/bsds/images,
maps of region numbers (from 1, PNG) in data/bsds/regions, both with the folders train and val.
"""
_base_ = ['./moco_v2.py', './region_views.py']

_images = 'data/bsds/images'
pipeline_fh = [*_base_.load,
               dict(type='mmdense.LoadRegions', images=_images, folder='data/bsds_regions_fh',
                    source=dict(method='fh', scale=300, min_size=0.0065)),
               *_base_.views_96]
train_dataloader = dict(
    batch_size=16,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='mmdense.ResumableSampler', shuffle=True),
    dataset=dict(
        type='mmdense.UnlabelledDataset',
        data_root=_images,
        pipeline=[*_base_.load,
                  dict(type='mmdense.LoadRegions', images=_images, folder='data/bsds/regions',
                       source="a person's segmentation from BSDS500, as region numbers from 1"),
                  *_base_.views_96]))
