"""Model randomness follows from seed, iteration and rank."""
from __future__ import annotations

import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop
from torch.utils.data import DataLoader

from mmdense.datasets.samplers import ResumableSampler
from mmdense.engine import seed_hook
from mmdense.engine.seed_hook import IterationSeedHook


def draw(iteration: int, seed: int = 0) -> tuple[float, float, float]:
    IterationSeedHook().before_train_iter(SimpleNamespace(seed=seed, iter=iteration), iteration)
    return random.random(), np.random.rand(), torch.rand(()).item()


def test_every_generator_follows_from_seed_iteration_and_rank(monkeypatch):
    first = draw(5)
    torch.rand(100)
    assert draw(5) == first
    others = [draw(6), draw(5, seed=1)]
    monkeypatch.setattr(seed_hook, 'get_rank', lambda: 1)
    others.append(draw(5))
    for other in others:
        assert not set(other) & set(first)


def test_an_endless_sampler_under_an_epoch_loop_is_refused():
    loader = DataLoader(range(4), sampler=ResumableSampler(range(4), seed=0))
    def runner_with(loop):
        return SimpleNamespace(train_dataloader=loader, train_loop=loop.__new__(loop))
    with pytest.raises(ValueError, match='never ends an epoch.*IterBasedTrainLoop'):
        IterationSeedHook().before_train(runner_with(EpochBasedTrainLoop))
    IterationSeedHook().before_train(runner_with(IterBasedTrainLoop))
