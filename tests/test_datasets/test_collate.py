"""Batches of views: stacked in the worker, few descriptors, the same numbers."""
from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import FUNCTIONS
from torch.utils.data import DataLoader, Dataset

from mmdense.datasets import collate_views
from mmdense.structures import Views

PIPELINE = [dict(type='mmdense.SeedSample'),
            dict(type='mmdense.MultiView', num_views=[2],
                 views=[[dict(type='mmdense.RandomResizedCrop', size=16),
                         dict(type='mmdense.RandomFlip')]]),
            dict(type='mmdense.PackViews')]


class Images(Dataset):
    """Random images, with region maps if wanted."""

    def __init__(self, regions: bool = False, count: int = 12) -> None:
        self.regions, self.count, self.pipeline = regions, count, Compose(PIPELINE[1:])

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict:
        random = np.random.default_rng(index)
        np.random.seed(index)
        results = dict(img=random.integers(0, 256, (20, 24, 3), np.uint8), sample_idx=index,
                       img_path=None, ori_shape=(20, 24))
        if self.regions:
            results['regions'] = random.integers(0, 9, (20, 24))
        return self.pipeline(results)


@pytest.mark.parametrize('regions', [False, True])
def test_views_are_stacked_as_they_were_made(regions):
    data = Images(regions)
    samples = [data[number] for number in range(3)]
    batch = FUNCTIONS.get('mmdense.collate_views')(samples)
    assert [tuple(view.shape) for view in batch['inputs']] == [(3, 3, 16, 16)] * 2
    views = batch['data_samples']
    assert isinstance(views, Views) and views.index.tolist() == [0, 1, 2]
    for number, sample in enumerate(samples):
        for place in range(2):
            assert torch.equal(batch['inputs'][place][number], sample['inputs'][place])
            assert torch.equal(views.boxes[place, number], sample['data_samples'].boxes[place])
            if regions:
                assert torch.equal(views.regions[place][number],
                                   sample['data_samples'].regions[place])


def test_images_of_other_shapes_are_named():
    samples = [Images()[0], Images()[1]]
    samples[1]['inputs'][1] = torch.zeros(3, 16, 17, dtype=torch.uint8)
    with pytest.raises(ValueError, match=r'differ in shape .*\(3, 16, 16\) and \(3, 16, 17\)'):
        collate_views(samples)


def shared_memory() -> int:
    """Return the descriptors of this process that are tensors of a worker."""
    found = 0
    for path in Path('/proc/self/fd').iterdir():
        with suppress(FileNotFoundError):               # closed since it was listed
            found += 'torch_' in os.readlink(path)
    return found


def descriptors(collate) -> int:
    """Return the descriptors that a batch of 12 images takes in the process that trains."""
    loader = DataLoader(Images(regions=True), batch_size=12, num_workers=1, collate_fn=collate)
    before = shared_memory()
    batch = next(iter(loader))
    assert len(batch['data_samples'].boxes if collate is collate_views else batch['inputs'])
    return shared_memory() - before


@pytest.mark.situation('lost runs', 'file descriptors that a batch of views takes', 'works',
                       '6, 8 with regions, whatever the batch: 1024 are enough for DetCon at 128')
def test_a_batch_takes_few_descriptors():
    # 2 views, 2 maps, boxes, flips, sizes, index
    assert descriptors(collate_views) == 8
    # 2 views, 2 maps, boxes, flips of each image
    assert descriptors(pseudo_collate) == 12 * 6
