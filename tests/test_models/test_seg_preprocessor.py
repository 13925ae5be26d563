"""mmseg's data preprocessor for any number of bands."""
from __future__ import annotations

import pytest
import torch
from mmengine.structures import PixelData
from mmseg.models import SegDataPreProcessor
from mmseg.structures import SegDataSample

from mmdense.models import MultibandSegDataPreProcessor


def sample(height: int, width: int) -> SegDataSample:
    found = SegDataSample(metainfo=dict(img_shape=(height, width)))
    found.gt_sem_seg = PixelData(data=torch.ones(1, height, width, dtype=torch.long))
    return found


def test_three_bands_are_as_mmseg_has_them():
    images = [torch.randint(0, 256, (3, 9, 12), dtype=torch.uint8)]
    settings = dict(mean=[1, 2, 3], std=[4, 5, 6], size=(16, 16), bgr_to_rgb=True, seg_pad_val=255)
    made = [kind(**settings)(dict(inputs=images, data_samples=[sample(9, 12)]), training=True)
            for kind in (SegDataPreProcessor, MultibandSegDataPreProcessor)]
    assert torch.equal(made[0]['inputs'], made[1]['inputs'])
    assert made[1]['inputs'].shape == (1, 3, 16, 16)


def test_each_band_has_its_own_mean():
    images = [torch.full((5, 9, 12), 10.0)]
    mean, std = [0, 2, 4, 6, 8], [1, 2, 3, 4, 5]
    out = MultibandSegDataPreProcessor(mean, std)(dict(inputs=images))['inputs']
    assert out[0, :, 0, 0].tolist() == pytest.approx([10, 4, 2, 1, 0.4])


def test_other_bands_and_numbers_are_refused():
    with pytest.raises(ValueError, match='images have 4 bands, but mean and std have 5 numbers'):
        MultibandSegDataPreProcessor([0] * 5, [1] * 5)(dict(inputs=[torch.zeros(4, 9, 9)]))
    for mean, std in (([0], [0]), ([0, 1], [1]), ([], [])):
        with pytest.raises(ValueError, match='one number per band, std above 0'):
            MultibandSegDataPreProcessor(mean, std)
