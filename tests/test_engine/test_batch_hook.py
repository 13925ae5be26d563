"""A training batch of one under BatchNorm gets one clear error, and only where it fails."""
from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from mmengine.dataset import DefaultSampler
from torch import nn
from torch.utils.data import DataLoader

from mmdense.datasets.samplers import ResumableSampler
from mmdense.engine.batch_hook import BatchOfOneHook, smallest_batch


def loader(size: int, batch_size: int, endless: bool = False, drop_last: bool = False):
    data = range(size)
    sampler = ResumableSampler(data, seed=0) if endless else DefaultSampler(data, seed=0)
    return DataLoader(data, batch_size, sampler=sampler, drop_last=drop_last)


def watched(data_loader: DataLoader) -> nn.Module:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1),
                          nn.BatchNorm2d(4))
    BatchOfOneHook().before_train(SimpleNamespace(train_dataloader=data_loader, model=model))
    return model


@pytest.mark.parametrize('size, batch_size, settings, smallest', [
    (9, 4, {}, 1), (8, 4, {}, 4), (9, 4, dict(drop_last=True), 4), (9, 4, dict(endless=True), 4),
    (5, 1, {}, 1)])
def test_smallest_batch(size, batch_size, settings, smallest):
    assert smallest_batch(loader(size, batch_size, **settings)) == smallest


def test_a_single_value_under_batchnorm_names_layer_batch_size_and_remedy():
    model = watched(loader(4, 1, endless=True))
    with pytest.raises(ValueError, match=r'batch_size=1 .*BatchNorm 3 .*\(1, 4, 1, 1\).*'
                                         r'batch_size of 2 or more'):
        model(torch.rand(1, 3, 5, 5))
    model(torch.rand(2, 3, 5, 5))
    model.eval()(torch.rand(1, 3, 5, 5))


def test_the_last_batch_of_an_epoch_counts_too():
    with pytest.raises(ValueError, match=r'batch_size=4 .*drop_last=True'):
        watched(loader(9, 4))(torch.rand(1, 3, 5, 5))


def test_larger_batches_are_not_watched():
    assert not any(module._forward_pre_hooks for module in watched(loader(8, 4)).modules())
