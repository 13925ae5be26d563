from __future__ import annotations

import random

import numpy as np
import torch

from mmdense.datasets.samplers import SampleIndex
from mmdense.datasets.transforms import SeedSample


def draws(index: int | None) -> tuple:
    SeedSample()(dict() if index is None else dict(sample_idx=index))
    return float(np.random.rand()), random.random(), float(torch.rand(1))


def test_a_sample_repeats_its_draws_whatever_came_before():
    first = draws(SampleIndex(5, 11, 1234))
    draws(SampleIndex(6, 11, 1235))
    # the index matters not: another dataset around it may change it, the position stays
    assert draws(SampleIndex(9, 11, 1234)) == first


def test_seed_and_position_each_change_every_generator():
    base = draws(SampleIndex(5, 11, 1234))
    for other in (draws(SampleIndex(5, 12, 1234)), draws(SampleIndex(5, 11, 1235)),
                  draws(SampleIndex(5, 1234, 11))):
        assert all(a != b for a, b in zip(base, other, strict=True))


def test_consecutive_positions_are_independent():
    values = np.array([draws(SampleIndex(0, 0, position)) for position in range(2000)])
    assert np.abs(values.mean(0) - 0.5).max() < 0.03
    lagged = [np.corrcoef(column[:-1], column[1:])[0, 1] for column in values.T]
    assert np.abs(lagged).max() < 0.08
    across = np.corrcoef(values.T) - np.eye(3)
    assert np.abs(across).max() < 0.08


def test_plain_indices_leave_the_generators_alone():
    np.random.seed(3)
    random.seed(3)
    torch.manual_seed(3)
    expected = float(np.random.rand()), random.random(), float(torch.rand(1))
    for index in (4, None):
        np.random.seed(3)
        random.seed(3)
        torch.manual_seed(3)
        assert draws(index) == expected
