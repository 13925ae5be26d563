"""The confusion matrix in the log: of all processes, since the last time, and at the end."""
from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from mmdense.engine import ConfusionHook
from mmdense.models.confusion import Confusion


def test_matrices_are_logged_and_begin_anew():
    said, model = [], nn.ModuleDict(dict(angles=Confusion(('0', '90'))))
    runner = SimpleNamespace(model=model, iter=0, max_iters=5,
                             logger=SimpleNamespace(info=said.append))
    hook = ConfusionHook(interval=2)
    for runner.iter in range(5):
        model['angles'].add(torch.tensor([0]), torch.tensor([1]), torch.tensor([True]))
        hook.after_train_iter(runner, runner.iter)
        assert model['angles'].counts.sum() == (1 if runner.iter in (0, 2) else 0)
    assert len(said) == 3 and all(text.startswith('angles: truth (rows)') for text in said)
    assert said[0].splitlines()[2].split() == ['0', '0.0', '100.0']


def test_an_interval_of_nothing_is_told():
    with pytest.raises(ValueError, match=r'ConfusionHook\(interval=0\)'):
        ConfusionHook(interval=0)
