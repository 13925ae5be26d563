"""LARS: against a slow loop of one weight at a time, resumed, from a config, without waiting."""
from __future__ import annotations

import copy

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from torch import nn

from mmdense.engine import LARS
from mmdense.registry import OPTIMIZERS

SHAPES = [(4, 3), (5,), (2, 3, 3, 3), (), (3, 2), (1, 6)]


class SlowLARS:
    """``u = g + d w; v <- m v + eta |w| / |u| u; w <- w - lr v``; of vectors u = g and no ratio.

    In float64, one weight at a time. Where |w| or |u| is 0 the ratio is 1.
    """

    def __init__(self, weights, lr, momentum=0.9, weight_decay=0.0, eta=1e-3):
        self.weights = [w.detach().double().clone() for w in weights]
        self.velocities = [torch.zeros_like(w) for w in self.weights]
        self.lr, self.momentum, self.weight_decay, self.eta = lr, momentum, weight_decay, eta

    def step(self, gradients):
        for n, (w, g) in enumerate(zip(self.weights, gradients, strict=True)):
            if g is None:
                continue
            u = g.double()
            if w.dim() >= 2:
                u = u + self.weight_decay * w
                of_w, of_u = (sum(x * x for x in t.flatten().tolist()) ** 0.5 for t in (w, u))
                u = u * (self.eta * of_w / of_u if of_w > 0 and of_u > 0 else 1)
            self.velocities[n] = self.momentum * self.velocities[n] + u
            self.weights[n] = w - self.lr * self.velocities[n]


def weights_of(shapes=SHAPES, dtype=torch.float32):
    return [nn.Parameter(torch.randn(shape, dtype=dtype)) for shape in shapes]


def set_gradients(params, absent=()):
    for n, p in enumerate(params):
        p.grad = None if n in absent else torch.randn_like(p)
    return [p.grad for p in params]


def same(params, expected):
    for p, w in zip(params, expected, strict=True):
        torch.testing.assert_close(p.detach().double(), w, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('settings', [
    dict(), dict(momentum=0.0), dict(weight_decay=0.1), dict(eta=0.5, weight_decay=1.5),
    dict(eta=0.02, weight_decay=0.01, momentum=0.5)])
def test_several_steps_equal_the_loop(settings):
    """Weights of zeros, gradients of zeros, weights without a gradient, vectors and scalars."""
    params = weights_of()
    with torch.no_grad():
        params[4].zero_()
    ours, slow = LARS(params, 0.3, **settings), SlowLARS(params, 0.3, **settings)
    start = [p.detach().clone() for p in params]
    for step in range(5):
        gradients = set_gradients(params, absent=[2, 1] if step in (0, 3) else [])
        if step in (1, 2):
            gradients[0].zero_()
        ours.step()
        slow.step(gradients)
        same(params, slow.weights)
    assert all(not torch.equal(p, was) for p, was in zip(params, start, strict=True))


def test_the_first_step_of_a_weight_is_eta_of_its_length_and_of_a_vector_its_gradient():
    params = weights_of([(4, 3), (5,)])
    start = [p.detach().clone() for p in params]
    gradients = [1000 * g for g in set_gradients(params)]
    for p, g in zip(params, gradients, strict=True):
        p.grad = g
    LARS(params, lr=1.0, weight_decay=0.1, eta=0.01).step()
    torch.testing.assert_close((params[0] - start[0]).norm(), 0.01 * start[0].norm(),
                               rtol=1e-4, atol=0)
    torch.testing.assert_close(params[1].detach(), start[1] - gradients[1])


def test_a_weight_without_gradient_stays_and_has_no_momentum():
    params = weights_of()
    start = params[0].detach().clone()
    optimizer = LARS(params, lr=1.0, weight_decay=0.1)
    set_gradients(params, absent=[0])
    optimizer.step()
    assert torch.equal(params[0], start) and params[0] not in optimizer.state
    assert set(optimizer.state[params[1]]) == {'momentum_buffer'}
    set_gradients(params, absent=range(len(params)))
    optimizer.step()


def test_gradients_are_left_as_they_are():
    params = weights_of()
    kept = [g.clone() for g in set_gradients(params)]
    LARS(params, lr=1.0, weight_decay=0.1).step()
    assert all(torch.equal(p.grad, g) for p, g in zip(params, kept, strict=True))


def test_groups_have_their_own_settings():
    params = weights_of([(3, 2), (4, 4), (5,)])
    settings = [dict(lr=0.1, weight_decay=0.2), dict(lr=0.5, momentum=0.3, eta=0.1)]
    groups = [params[:1], params[1:]]
    optimizer = LARS([dict(params=part, **own) for part, own in zip(groups, settings, strict=True)],
                     lr=9.0)
    slow = [SlowLARS(part, **own) for part, own in zip(groups, settings, strict=True)]
    for _ in range(3):
        gradients = set_gradients(params)
        optimizer.step()
        for one, part in zip(slow, (gradients[:1], gradients[1:]), strict=True):
            one.step(part)
    same(params, slow[0].weights + slow[1].weights)


def test_the_rate_is_outside_the_momentum():
    """A changed rate counts at once, as in the published program."""
    params = weights_of([(3, 2)])
    optimizer, slow = LARS(params, lr=1.0), SlowLARS(params, lr=1.0)
    for lr in (1.0, 0.01):
        optimizer.param_groups[0]['lr'] = slow.lr = lr
        gradients = set_gradients(params)
        optimizer.step()
        slow.step(gradients)
    same(params, slow.weights)


def test_a_resumed_optimizer_takes_the_same_next_step():
    params = weights_of()
    optimizer = LARS(params, lr=0.3, weight_decay=0.1, eta=0.1)
    for _ in range(2):
        set_gradients(params)
        optimizer.step()
    others = [nn.Parameter(p.detach().clone()) for p in params]
    resumed, fresh = (LARS(others, lr=1.0) for _ in range(2))
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    gradients = set_gradients(params)
    for p, g in zip(others, gradients, strict=True):
        p.grad = g.clone()
    before = [p.detach().clone() for p in others]
    optimizer.step()
    resumed.step()
    assert all(torch.equal(p, q) for p, q in zip(params, others, strict=True))
    with torch.no_grad():
        for p, was in zip(others, before, strict=True):
            p.copy_(was)
    fresh.param_groups[0].update(lr=0.3, weight_decay=0.1, eta=0.1)
    fresh.step()
    assert not any(torch.equal(p, q) for p, q in zip(params, others, strict=True))


def test_the_closure_is_called_with_gradient_and_its_loss_returned():
    params = weights_of([(3, 2)])
    optimizer = LARS(params, lr=1.0)
    start = params[0].detach().clone()

    def closure():
        loss = params[0].square().sum()
        loss.backward()
        return loss
    assert optimizer.step(closure).item() == pytest.approx(start.square().sum().item())
    assert not torch.equal(params[0], start)
    assert optimizer.step() is None


@pytest.mark.parametrize('settings', [dict(lr=-0.1), dict(momentum=-0.1), dict(momentum=1.0),
                                      dict(weight_decay=-1), dict(eta=-1e-3)])
def test_wrong_settings_are_named(settings):
    name, value = next(iter(settings.items()))
    with pytest.raises(ValueError, match=f'LARS: .*{name}={value}.*expected numbers of at least'):
        LARS(weights_of(), **{'lr': 0.1, **settings})


def test_a_config_builds_it():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    wrapper = build_optim_wrapper(model, dict(type='OptimWrapper', optimizer=dict(
        type='mmdense.LARS', lr=0.2, momentum=0.8, weight_decay=1e-2, eta=0.05)))
    assert type(wrapper.optimizer) is LARS is OPTIMIZERS.get('LARS')
    slow = SlowLARS(model.parameters(), 0.2, 0.8, 1e-2, 0.05)
    for _ in range(2):
        loss = model(torch.randn(2, 3, 5, 5)).square().mean()
        gradients = torch.autograd.grad(loss, list(model.parameters()), retain_graph=True)
        wrapper.update_params(loss)
        slow.step(gradients)
    same(model.parameters(), slow.weights)


def test_it_never_waits_for_a_value(monkeypatch):
    params = weights_of()
    optimizer = LARS(params, lr=0.3, weight_decay=0.1)

    def refuse(*args, **kwargs):
        raise AssertionError('waits for the GPU')
    for name in ('item', 'tolist', 'numpy', 'cpu', '__bool__', '__float__', '__int__', '__index__'):
        monkeypatch.setattr(torch.Tensor, name, refuse)
    for _ in range(2):
        set_gradients(params)
        optimizer.step()


def test_it_never_needs_a_value():
    """On the device without values everything that would wait for one fails."""
    params = [nn.Parameter(torch.empty(shape, device='meta')) for shape in SHAPES]
    optimizer = LARS(params, lr=0.3, weight_decay=0.1)
    for _ in range(2):
        for p in params:
            p.grad = torch.empty_like(p)
        optimizer.step()
