"""How an evaluation deals images to processes, and the labels it takes."""
from __future__ import annotations

import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmdense.evaluation import datasets
from mmdense.evaluation.datasets import ConsecutiveBatches, label_map


@pytest.mark.parametrize('bad', [3, 254, -1])
def test_a_label_outside_the_classes_is_named(bad):
    labels = torch.zeros(4, 4).long()
    labels[1, 1] = bad
    sample = SegDataSample(metainfo=dict(seg_map_path='a.png'),
                           gt_sem_seg=PixelData(data=labels[None]))
    with pytest.raises(ValueError, match=r'a.png: label -?\d+ is outside the 3 classes \(0 to 2'):
        label_map(sample, 3)


@pytest.mark.parametrize('world_size', [1, 2, 3])
def test_batches_hold_the_same_images_for_any_number_of_processes(monkeypatch, world_size):
    seen = []
    for rank in range(world_size):
        monkeypatch.setattr(datasets, 'get_dist_info', lambda r=rank: (r, world_size))
        sampler = ConsecutiveBatches(range(11), 4)
        order = list(sampler)
        assert len(sampler) == len(order)
        seen += [tuple(order[i:i + 4]) for i in range(0, len(order), 4)]
    assert sorted(seen) == [(0, 1, 2, 3), (4, 5, 6, 7), (8, 9, 10)]
