"""CP2: against slow loops, over processes, resumed, in gradients; what it pastes."""
from __future__ import annotations

import copy

import pytest
import torch
from jobs.cp2 import branches, objective_and_ddp_job, objective_job
from jobs.densecl import without_gradient
from jobs.processes import run_processes
from references.cp2 import foreground_nce, instance_nce
from references.tiny import build_cp2, views_of

from mmdense.models.queue import EMPTY
from mmdense.models.selfsup import cp2
from mmdense.random_states import seed_everything


def at_cells(views, h, w):
    """The masks at half the stride; here each cell is 4 x 4 pixels."""
    return [mask[:, mask.shape[1] // h // 2::mask.shape[1] // h,
                 mask.shape[2] // w // 2::mask.shape[2] // w] for mask in views.masks]


@pytest.mark.parametrize('batch', [1, 4])
def test_losses_equal_the_slow_loop(batch):
    """An image without foreground counts nowhere, and its key is nobody's negative."""
    method, (cells, keys, views) = build_cp2(dense_weight=0.3), branches(batch)
    if batch > 1:
        views.masks[1][2] = False
    masks, slots = at_cells(views, 4, 3), list(method.contrast.queue.keys.clone())
    inputs = [x.double().requires_grad_() for x in (cells, cells)]
    expected = (instance_nce(inputs[0], keys, *masks, slots, 0.2),
                0.3 * foreground_nce(inputs[1], keys, *masks, 1.0))
    cells.requires_grad_()
    losses = method.objective((cells,), (keys,), views)
    assert list(losses) == ['loss_image', 'loss_dense']
    for loss, value, doubles in zip(losses.values(), expected, inputs, strict=True):
        assert loss.item() == pytest.approx(value.item(), rel=1e-5) and loss > 0
        grad, = torch.autograd.grad(loss, cells, retain_graph=True)
        other, = torch.autograd.grad(value, doubles)
        torch.testing.assert_close(grad.double(), other, rtol=1e-4, atol=1e-6)
    index = method.contrast.queue.index[:batch].tolist()
    assert index == [EMPTY if batch > 1 and n == 2 else n for n in range(batch)]


def test_no_foreground_at_all_is_no_loss():
    method, (cells, keys, views) = build_cp2(), branches(3)
    views.masks[0].zero_()
    cells.requires_grad_()
    losses = method.objective((cells,), (keys,), views)
    sum(losses.values()).backward()
    assert all(loss.item() == 0 for loss in losses.values()) and not cells.grad.any()


def test_autocast_stays_close_to_the_slow_loop():
    method, (cells, keys, views) = build_cp2(), branches(4)
    cells, keys = cells.bfloat16(), keys.bfloat16()
    masks, slots = at_cells(views, 4, 3), list(method.contrast.queue.keys.clone())
    with torch.autocast('cpu', dtype=torch.bfloat16):
        losses = method.objective((cells,), (keys,), views)
    assert all(loss.dtype == torch.float32 for loss in losses.values())
    assert losses['loss_image'].item() == pytest.approx(
        instance_nce(cells.float(), keys.float(), *masks, slots, 0.2).item(), rel=1e-4)
    assert losses['loss_dense'].item() == pytest.approx(
        0.2 * foreground_nce(cells.float(), keys.float(), *masks, 1.0).item(), rel=1e-4)


@pytest.fixture(scope='module')
def processes():
    return list(zip(*run_processes(objective_and_ddp_job), strict=True))


def test_two_processes_give_the_loss_and_gradients_of_one(processes):
    (losses, grad, keys, index), two = objective_job(0, 1), processes[0]
    for name, value in losses.items():
        assert sum(part[0][name] for part in two) / 2 == pytest.approx(value, rel=1e-5)
    torch.testing.assert_close(torch.cat([part[1] for part in two]), grad)
    for part in two:
        torch.testing.assert_close(part[2], keys)
        assert torch.equal(part[3], index)


def test_every_parameter_gets_a_gradient_but_the_twins(processes):
    method = build_cp2()
    images = [torch.randn(4, 3, 64, 64) for _ in range(2)]
    sum(method.loss(images, views_of(torch.arange(4))).values()).backward()
    assert without_gradient(method) == ([], [])
    assert all(p.grad.abs().sum() > 0 for n, p in method.named_parameters()
               if n.startswith(('projector.', 'decode_head.', 'backbone.layer4')))
    assert any(name.startswith('twin.decode_head.') for name in method.state_dict())
    assert list(processes[1]) == [([], [])] * 2


def test_each_view_is_pasted_onto_another_image():
    """The masks say where; background, foreground and the other view's differ."""
    method = build_cp2()
    images = [torch.arange(5.)[:, None, None, None].expand(5, 3, 32, 32) + 10 * v for v in (0, 1)]
    pasted, views = method.compose(images, views_of(torch.arange(5)))
    behind = []
    for view, (image, mask) in enumerate(zip(pasted, views.masks, strict=True)):
        assert mask.shape == (5, 32, 32) and 0.45 < mask.float().mean() < 0.85
        for b in range(5):
            front, back = image[b][:, mask[b]].unique(), image[b][:, ~mask[b]].unique()
            assert front.tolist() == [b + 10 * view] and len(back) == 1
            behind.append(int(back) % 10)
            assert int(back) // 10 == view
    assert all(b not in (one, two) and one != two
               for b, one, two in zip(range(5), behind[:5], behind[5:], strict=True))
    assert not torch.equal(*views.masks)


def test_the_networks_see_the_composites(monkeypatch):
    """Each with its own mask, also where both views ask."""
    method, seen = build_cp2(symmetric=True), []
    objective = method.objective
    monkeypatch.setattr(method, 'objective', lambda *args: seen.append(args[2]) or objective(*args))
    torch.manual_seed(3)
    images, views = [torch.randn(4, 3, 32, 32) for _ in range(2)], views_of(torch.arange(4))
    inputs = []
    method.backbone.register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    torch.manual_seed(4)
    method.loss(images, views)
    torch.manual_seed(4)
    pasted, composed = method.compose(images, views)
    assert all(torch.equal(*pair) for pair in zip(inputs, pasted, strict=True))
    for found, order in zip(seen, ((0, 1), (1, 0)), strict=True):
        assert all(torch.equal(mask, composed.masks[v])
                   for mask, v in zip(found.masks, order, strict=True))


def test_a_resumed_method_gives_the_same_next_loss():
    """What is pasted where depends on the step, and on nothing else."""
    def step(method, optimizer, number, seed=0):
        g = torch.Generator().manual_seed(number)
        images = [torch.randn(4, 3, 32, 32, generator=g) for _ in range(2)]
        seed_everything(seed, number, 0)
        losses = method.loss(images, views_of(torch.arange(4)))
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
        return {name: loss.item() for name, loss in losses.items()}

    def method_and_optimizer():
        method = build_cp2()
        return method, torch.optim.SGD([p for p in method.parameters() if p.requires_grad], lr=0.1)

    pair, resumed = method_and_optimizer(), method_and_optimizer()
    for number in range(2):
        step(*pair, number)
    resumed[0].load_state_dict(copy.deepcopy(pair[0].state_dict()))
    other = copy.deepcopy(pair[0])
    losses = [step(*pair, number) for number in range(2, 5)]
    assert losses == [step(*resumed, number) for number in range(2, 5)]
    assert losses[0] != step(other, torch.optim.SGD(other.parameters(), lr=0.1), 2, seed=1)


@pytest.mark.parametrize('batch', [
    pytest.param(1, id='1', marks=pytest.mark.situation(
        'settings', 'CP2 with a batch of one or two images', 'error',
        'that each is pasted onto two others, and the batch size to set')), 2])
def test_a_batch_of_one_or_two_is_an_error(batch):
    images = [torch.randn(batch, 3, 32, 32) for _ in range(2)]
    with pytest.raises(ValueError, match=rf'a batch of {batch} image.s. in a process: each is '
                                         'pasted onto two others; expected train_dataloader'):
        build_cp2()(images, views_of(torch.arange(batch)), mode='loss')


def test_the_published_defaults():
    """Of the authors' program, github.com/wangf3014/CP2."""
    method = build_cp2()
    assert (method.dense_weight, method.dense_temperature) == (0.2, 1.0)
    assert (method.area, method.aspect) == ((0.5, 0.8), (0.8, 1.25))
    assert cp2.CP2.queue_keys({}) == dict(queue=1)
