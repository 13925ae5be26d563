"""MomentumTwin: the average by hand, who calls it, its BatchNorm and its state."""
from __future__ import annotations

import copy
import math

import pytest
import torch
from jobs.processes import run_processes
from jobs.sharded import sharded_job
from torch import nn

from mmdense.models import momentum
from mmdense.models.momentum import MomentumTwin, cosine_momentum
from mmdense.models.split_batch_norm import SplitBatchNorm, split_batch_norm


class Method(nn.Module):
    def __init__(self, **twin):
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
        self.twin = MomentumTwin({'backbone': self.backbone}, **{'bn': 'plain', **twin})


def forward(method):
    method.twin.follow()
    method.backbone(torch.randn(6, 3)).square().sum().backward()


def train(method, steps, every=1, make=lambda p: torch.optim.SGD(p, lr=0.5)):
    optimizer = make(method.backbone.parameters())
    for step in range(steps):
        forward(method)
        if (step + 1) % every == 0:
            optimizer.step()
            optimizer.zero_grad()


def steps_of(method):
    """Steps that the twin has followed, as a checkpoint has it."""
    return method.state_dict()['twin.steps']


def test_equals_the_average_by_hand():
    method = Method(momentum=0.9)
    with torch.no_grad():
        for p in method.backbone.parameters():
            p.add_(1.0)  # weights loaded after construction
    by_hand = [p.detach().clone() for p in method.backbone.parameters()]
    optimizer = torch.optim.SGD(method.backbone.parameters(), lr=0.5)
    for _ in range(5):
        forward(method)
        optimizer.step()
        by_hand = [0.9 * h + 0.1 * p.detach()
                   for h, p in zip(by_hand, method.backbone.parameters(), strict=True)]
    assert method.twin.steps == 4 and steps_of(method) == method.twin.steps == 5
    for twin, hand in zip(method.twin.backbone.parameters(), by_hand, strict=True):
        torch.testing.assert_close(twin, hand)


def test_each_module_has_its_momentum(monkeypatch):
    """That of its name, 0.999 where none is set; only what has an end rises to it."""
    online = {name: nn.Linear(3, 3) for name in ('backbone', 'decode_head', 'projector')}
    online['identity'] = nn.Identity()
    twin = MomentumTwin(online, momentum=dict(decode_head=0.5, projector=0.9),
                        end_momentum=dict(projector=1.0))
    monkeypatch.setattr(momentum, 'run_progress', lambda: 0.5)
    twin.follow()
    old = copy.deepcopy(online)
    with torch.no_grad():
        for p in nn.ModuleDict(online).parameters():
            p.add_(1.0)
    twin.follow()
    for name, moved in dict(backbone=0.001, decode_head=0.5, projector=0.05).items():
        for own, start in zip(getattr(twin, name).parameters(), old[name].parameters(),
                              strict=True):
            torch.testing.assert_close(own - start, torch.full_like(own, moved), rtol=0,
                                       atol=1e-6)


@pytest.mark.parametrize('make', [
    lambda p: torch.optim.SGD(p, lr=0.5), lambda p: torch.optim.AdamW(p, foreach=True),
    pytest.param(lambda p: torch.optim.AdamW(p, fused=True), id='fused',
                 marks=pytest.mark.situation(
                     'processes', 'a fused optimiser with a momentum twin', 'works',
                     'its steps are seen by the values of the weights')),
    lambda p: ThroughData(p, {})])
def test_follows_once_an_optimiser_step_and_only_its_own_optimiser(make):
    method = Method(momentum=0.9)
    train(method, 7, every=3, make=make)
    assert steps_of(method) == 2
    method.twin.follow()
    method.twin.follow()
    other = nn.Linear(2, 2)
    other(torch.randn(1, 2)).sum().backward()
    torch.optim.SGD(other.parameters(), lr=1).step()
    assert steps_of(method) == 2


class ThroughData(torch.optim.Optimizer):
    def step(self):
        for p in self.param_groups[0]['params']:
            p.data.sub_(p.grad)


def test_skipped_amp_steps_do_not_count():
    """As a scaler does: the optimiser is not called, and the gradients go."""
    method = Method(momentum=0.9)
    optimizer = torch.optim.SGD(method.backbone.parameters(), lr=0.5)
    for overflow in (True, True, False, True, False):
        forward(method)
        if not overflow:
            optimizer.step()
        optimizer.zero_grad()
    assert steps_of(method) == 2


def test_two_optimisers_are_one_step():
    method = Method(momentum=0.9)
    optimizers = [torch.optim.SGD(part.parameters(), lr=0.5) for part in method.backbone]
    for turn in ((0, 1), (0,), (1,), ()):
        forward(method)
        for number in turn:
            optimizers[number].step()
    assert steps_of(method) == 3


def test_swapped_values_are_no_step():
    """What mmengine's EMAHook does around validation."""
    method = Method(momentum=0.9)
    train(method, 2)
    method.twin.follow()
    kept = [p.data.clone() for p in method.backbone.parameters()]
    for p, value in zip(method.backbone.parameters(), kept, strict=True):
        p.data.copy_(torch.zeros_like(p))
        p.data.copy_(value)
    assert steps_of(method) == 2


def test_weights_that_are_loaded_are_no_step():
    method = Method(momentum=0.9)
    train(method, 2)
    state = {name: value + 1 for name, value in method.state_dict().items()}
    method.load_state_dict(state)
    method.twin.follow()
    assert steps_of(method) == 3                        # which were loaded
    assert torch.equal(method.twin.backbone[0].weight, state['twin.backbone.0.weight'])


def test_the_momentum_is_that_of_the_step(monkeypatch):
    """Not of the forward that notices it."""
    method, progress = Method(momentum=0.5, end_momentum=1.0), iter((0.0, 0.5))
    monkeypatch.setattr(momentum, 'run_progress', lambda: next(progress))
    start = method.backbone[0].weight.detach().clone()
    train(method, 1)
    method.twin.follow()
    torch.testing.assert_close(method.twin.backbone[0].weight,
                               (start + method.backbone[0].weight.detach()) / 2)


def test_parameters_are_listed_once():
    """And again where other modules stand at their place."""
    method = Method(momentum=0.9)
    train(method, 2)
    listed = method.twin.seen.online
    train(method, 2)
    assert method.twin.seen.online is listed
    method.backbone[0].weight = nn.Parameter(method.backbone[0].weight.detach().clone())
    train(method, 2)
    assert method.twin.seen.online is not listed
    assert all(a is b for a, b in zip(method.twin.seen.online, method.backbone.parameters(),
                                      strict=True))


@pytest.mark.situation('processes', 'ZeroRedundancyOptimizer with a momentum twin', 'works',
                       'the twins of all processes stay the same')
def test_sharded_optimisers_are_followed_alike():
    one, two = run_processes(sharded_job)
    assert one[0] == two[0] == 3
    for a, b in zip(one[1], two[1], strict=True):
        assert (a == b).all()


@pytest.mark.parametrize('bn, network, lines', [
    ('shuffle', nn.BatchNorm1d(4), 1), ('shuffle', nn.LayerNorm(4), 0),
    ('split', nn.BatchNorm1d(4), 0)])
def test_what_shuffling_cannot_do_is_said_where_there_is_batch_norm(monkeypatch, bn, network,
                                                                   lines):
    said = []
    monkeypatch.setattr(momentum, 'print_log', lambda text, *args, **kwargs: said.append(text))
    twin = MomentumTwin({'backbone': network}, bn=bn)
    twin.follow()
    twin.follow()
    assert len(said) == lines


def test_never_has_gradient_and_is_not_in_the_methods_trainable_parameters():
    method = Method(momentum=0.9)
    train(method, 1)
    assert all(p.grad is None and not p.requires_grad for p in method.twin.parameters())
    names = set(method.state_dict())
    assert {'backbone.0.weight', 'twin.backbone.0.weight', 'twin.steps'} <= names
    assert not any('online' in name for name in names)


def test_a_resumed_twin_keeps_its_own_weights():
    method = Method(momentum=0.9)
    train(method, 3)
    resumed = Method(momentum=0.9)
    resumed.load_state_dict(method.state_dict())
    resumed.twin.follow()
    for name, value in method.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_a_deep_copy_follows_its_own_online_network():
    method = Method(momentum=0.9)
    train(method, 1)
    other = copy.deepcopy(method)
    train(other, 2)
    assert steps_of(other) == 3 and steps_of(method) == 1


def test_keeps_batch_norm_buffers_of_its_own():
    method = Method(momentum=0.9)
    train(method, 2)
    online, twin = method.backbone[1], method.twin.backbone[1]
    assert not torch.equal(online.running_mean, twin.running_mean)


def test_cosine_rises_from_start_to_end():
    assert cosine_momentum(0.99, 1.0, 0.0) == pytest.approx(0.99)
    assert cosine_momentum(0.99, 1.0, 0.5) == pytest.approx(1 - 0.01 * (math.cos(math.pi / 2) + 1)
                                                           / 2)
    assert cosine_momentum(0.99, 1.0, 1.0) == pytest.approx(1.0)


@pytest.mark.parametrize('args, message', [(dict(momentum=0.001), "papers' sense"),
                                           (dict(momentum=dict(backbone=0.1)), 'momentum 0.1'),
                                           (dict(momentum=dict(neck=0.9)), 'expected some of back'),
                                           (dict(end_momentum=dict(neck=1)), 'neck is none of'),
                                           (dict(bn='ghost'), "'shuffle', 'split' or 'plain'")])
def test_wrong_arguments_are_named(args, message):
    with pytest.raises(ValueError, match=message):
        Method(**args)


@pytest.mark.parametrize('batch, groups', [(16, 8), (6, 3), (5, 1), (2, 1), (32, 8)])
def test_split_batch_norm_is_batch_norm_of_each_group(batch, groups):
    x = torch.randn(batch, 3, 4, 5)
    plain = nn.BatchNorm2d(3)
    nn.init.uniform_(plain.weight)
    split = split_batch_norm(copy.deepcopy(plain))
    assert isinstance(split, SplitBatchNorm)
    out = split(x)
    for g in range(groups):
        part = copy.deepcopy(plain)
        torch.testing.assert_close(out[g::groups], part(x[g::groups]))
    torch.testing.assert_close(split.eval()(x), split(x))
