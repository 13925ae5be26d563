from __future__ import annotations

import numpy as np
import pytest
import torch

from mmdense.datasets.samplers import SampleIndex
from mmdense.datasets.transforms import MultiView, PackViews

CROP = [dict(type='mmdense.RandomResizedCrop', size=(12, 16)), dict(type='mmdense.RandomFlip')]


def results(channels: int = 3, **more) -> dict:
    image = np.random.RandomState(0).randint(0, 256, (40, 50, channels), np.uint8)
    return dict(img=image, img_path='a.jpg', ori_shape=(40, 50), sample_idx=SampleIndex(7, 0, 3),
                **more)


@pytest.mark.parametrize('channels', [1, 3, 5])
def test_packed_tensors_are_the_views(channels):
    np.random.seed(0)
    made = MultiView([CROP], [3])(results(channels))
    packed = PackViews()(made)
    sample = packed['data_samples']
    assert sample.boxes.shape == (3, 4) and sample.boxes.dtype == torch.float32
    assert sample.flips.shape == (3,) and sample.flips.dtype == torch.bool
    for number, view in enumerate(made['views']):
        tensor = packed['inputs'][number]
        assert tensor.dtype == torch.uint8 and tensor.is_contiguous()
        assert (tensor.permute(1, 2, 0).numpy() == view['img']).all()
        assert sample.boxes[number].tolist() == view['box'].tolist()
        assert bool(sample.flips[number]) == view['flip']
    assert 'regions' not in sample
    assert sample.metainfo == dict(img_path='a.jpg', ori_shape=(40, 50), index=7)
    assert type(sample.index) is int


def test_regions_are_packed_as_int32_with_their_highest_id():
    made = MultiView([CROP], [2])(results(regions=np.arange(2000).reshape(40, 50)))
    packed = PackViews()(made)
    for tensor, view in zip(packed['data_samples'].regions, made['views'], strict=True):
        assert tensor.dtype == torch.int32 and (tensor.numpy() == view['regions']).all()
    assert packed['data_samples'].num_regions == 1999


def test_a_region_id_below_0_is_named():
    made = MultiView([CROP], [2])(results(regions=np.full((40, 50), -1)))
    with pytest.raises(ValueError, match='a.jpg: region id -1; expected at least 0'):
        PackViews()(made)


def test_packing_without_views_says_what_is_missing():
    with pytest.raises(ValueError, match='put mmdense.MultiView before it'):
        PackViews()(results())
