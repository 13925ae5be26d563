"""MomentumTwin: the average by hand, who calls it, its BatchNorm and its state."""
from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn

from mmdense.models.momentum import MomentumTwin, cosine_momentum
from mmdense.models.split_batch_norm import SplitBatchNorm, split_batch_norm


class Method(nn.Module):
    def __init__(self, **twin):
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
        self.twin = MomentumTwin({'backbone': self.backbone}, **{'bn': 'plain', **twin})


def train(method, steps, lr=0.5, every=1):
    optimizer = torch.optim.SGD(method.backbone.parameters(), lr=lr)
    method.twin.start()
    for step in range(steps):
        method.backbone(torch.randn(6, 3)).square().sum().backward()
        if (step + 1) % every == 0:
            optimizer.step()
            optimizer.zero_grad()


def test_equals_the_average_by_hand():
    method = Method(momentum=0.9)
    with torch.no_grad():
        for p in method.backbone.parameters():
            p.add_(1.0)  # weights loaded after construction
    method.twin.start()
    by_hand = [p.detach().clone() for p in method.backbone.parameters()]
    optimizer = torch.optim.SGD(method.backbone.parameters(), lr=0.5)
    for _ in range(5):
        method.backbone(torch.randn(6, 3)).square().sum().backward()
        optimizer.step()
        by_hand = [0.9 * h + 0.1 * p.detach()
                   for h, p in zip(by_hand, method.backbone.parameters(), strict=True)]
    for twin, hand in zip(method.twin.backbone.parameters(), by_hand, strict=True):
        torch.testing.assert_close(twin, hand)
    assert method.twin.steps == 5


def test_follows_once_an_optimiser_step_and_only_its_own_optimiser():
    method = Method(momentum=0.9)
    train(method, 6, every=3)
    assert method.twin.steps == 2
    other = nn.Linear(2, 2)
    other(torch.randn(1, 2)).sum().backward()
    torch.optim.SGD(other.parameters(), lr=1).step()
    assert method.twin.steps == 2


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
    resumed.twin.start()
    for name, value in method.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_a_deep_copy_follows_its_own_online_network():
    method = Method(momentum=0.9)
    train(method, 1)
    other = copy.deepcopy(method)
    train(other, 2)
    assert other.twin.steps == 3 and method.twin.steps == 1


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
