"""Weights of another run are a start; its counts and its images are not."""
from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from mmdense.models import starting
from mmdense.models.momentum import MomentumTwin
from mmdense.models.queue import EMPTY, UNKNOWN, FeatureQueue
from mmdense.models.starting import start_anew


class Method(nn.Module):
    def __init__(self, init: str = 'random') -> None:
        super().__init__()
        self.backbone = nn.Linear(2, 2)
        self.twin = MomentumTwin(dict(backbone=self.backbone), momentum=0.9, bn='plain')
        self.queue = FeatureQueue(6, 3, init=init)


@pytest.fixture
def said(monkeypatch) -> list[str]:
    lines = []
    monkeypatch.setattr(starting, 'print_log', lambda text, *args: lines.append(text))
    return lines


def trained(init: str = 'random') -> dict:
    """Return the state of a method after a step."""
    method = Method(init)
    method.twin.follow()
    with torch.no_grad():
        method.backbone.weight.add_(1)
    method.queue.push(torch.ones(4, 3), torch.arange(4))
    return copy.deepcopy(method.state_dict())


@pytest.mark.parametrize('init, index', [('random', UNKNOWN), ('empty', EMPTY)])
@pytest.mark.situation(
    'lost runs', "load_from: a new pretraining run with another pretraining run's checkpoint",
    'works', 'takes the weights and those of the twin; queue, steps and warm-ups begin anew, '
    'and the log says so')
def test_weights_stay_and_counts_do_not(said, init, index):
    state, method = trained(init), Method(init)
    method.load_state_dict(state)
    start_anew(method)
    method.twin.follow()
    assert torch.equal(method.backbone.weight, state['backbone.weight'])
    assert torch.equal(method.twin.backbone.weight, state['twin.backbone.weight'])
    assert not torch.equal(method.twin.backbone.weight, method.backbone.weight)
    assert method.twin.steps == 0 and method.queue.pointer == 0
    assert (method.queue.index == index).all()
    assert not (method.queue.keys == 1).any()
    assert said == ["a new run with another run's weights: the twin keeps its weights of step 1 "
                    'and counts from 0; the queue starts anew; warm-ups begin at 0']
    with torch.no_grad():
        method.backbone.weight.add_(1)
    method.twin.follow()
    assert method.twin.steps == 1


def test_a_method_that_was_never_trained_is_left_alone(said):
    method = Method()
    keys = method.queue.keys.clone()
    start_anew(method)
    with torch.no_grad():
        method.backbone.weight.add_(1)
    method.twin.follow()
    assert said == [] and torch.equal(method.queue.keys, keys)
    assert torch.equal(method.twin.backbone.weight, method.backbone.weight)


def test_weights_without_a_twin_are_taken_over_by_it(said):
    state = {name: value for name, value in trained().items() if name.startswith('backbone')}
    method = Method()
    method.load_state_dict(state, strict=False)
    start_anew(method)
    method.twin.follow()
    assert said == [] and torch.equal(method.twin.backbone.weight, state['backbone.weight'])


def test_a_full_queue_at_slot_0_is_another_runs_too(said):
    method = Method('empty')
    method.queue.push(torch.ones(6, 3), torch.arange(6))
    start_anew(method)
    assert (method.queue.index == EMPTY).all() and 'the queue starts anew' in said[0]
