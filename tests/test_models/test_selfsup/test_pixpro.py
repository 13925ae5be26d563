"""PixPro and PixContrast: against slow loops, over processes, resumed, in both directions."""
from __future__ import annotations

import copy

import pytest
import torch
from jobs.location import views_apart
from jobs.pixpro import CASES, INSTANCE, cells, pixel_job
from jobs.processes import run_processes
from references import pixpro as slow
from references.tiny import build_pixel

from mmdense.models.losses import consistency_of_pairs, pixel_contrast
from mmdense.models.necks import PixelPropagation
from mmdense.random_states import seed_everything
from mmdense.structures import Views

KINDS = ('PixPro', 'PixContrast')


@pytest.mark.parametrize('gamma', [1.0, 2.0])
@pytest.mark.parametrize('layers', [0, 1, 2])
def test_the_propagation_equals_the_slow_loop(gamma, layers):
    neck = PixelPropagation(16, gamma=gamma, num_layers=layers).double()
    given = cells(2)[0].double().requires_grad_()
    found = neck(given)
    values = neck.value(given)
    for b in range(2):
        torch.testing.assert_close(found[b].flatten(1), slow.propagate(
            given[b].flatten(1), values[b].flatten(1), gamma))
    found.square().sum().backward()
    assert given.grad.isfinite().all()
    assert neck(torch.zeros(1, 16, 3, 3).double()).isfinite().all()


@pytest.mark.parametrize('batch', [1, 4])
@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('change', [{}, dict(threshold=1.6), dict(published=True)])
def test_loss_equals_the_slow_loop(kind, batch, change):
    """One image; an image whose views share nothing; fractions of images that are not square."""
    method, (query, key), views = build_pixel(kind, **change), cells(batch), views_apart(batch)
    extents = torch.tensor([[330., 420.]]).expand(batch, 2)
    views = Views(views.boxes, views.flips, views.index, sizes=extents)
    found = method.objective((query,), (key,), views)
    pairs = slow.pairs_of(views.boxes, views.flips, [(5, 4)] * 2, method.matcher.threshold,
                          extents if 'published' in change else None)
    if kind == 'PixPro':
        asking = method.context(query).detach().flatten(2)
        expected = slow.consistency(asking, key.flatten(2), pairs)
    else:
        expected = slow.contrast(query.flatten(2), key.flatten(2), pairs, 0.3)
    assert found['loss_pixel'].item() == pytest.approx(2 * expected, rel=1e-5, abs=1e-6)
    share = sum(any(map(any, rows)) for rows in pairs) / batch
    assert found['paired'].item() == pytest.approx(share)
    assert batch == 1 or share == 0.75


def test_whole_images_beside_the_cells():
    method, (query, key), views = build_pixel('PixPro', **INSTANCE, instance_weight=0.5), \
        cells(3), views_apart(3)
    found = method.objective((query, query), (key, key), views)
    pred = method.instance_predictor(query).mean((2, 3))
    cosines = [float(slow.unit(p) @ slow.unit(k)) for p, k in zip(
        pred.double(), key.mean((2, 3)).double(), strict=True)]
    assert found['loss_instance'].item() == pytest.approx(-2 * 2 * 0.5 * sum(cosines) / 3, rel=1e-5)
    alone = build_pixel('PixPro')
    alone.context = method.context
    assert torch.equal(found['loss_pixel'], alone.objective((query,), (key,), views)['loss_pixel'])
    with pytest.raises(ValueError, match='needs both instance_projector and instance_predictor'):
        build_pixel('PixPro', instance_projector=INSTANCE['instance_projector'])


@pytest.mark.parametrize('kind', KINDS)
def test_both_directions_are_added(kind):
    """The loss of a step is that of view 1 asking and of view 2 asking."""
    torch.manual_seed(0)
    method, views = build_pixel(kind), views_apart(2)
    images = [torch.randn(2, 3, 64, 64) for _ in range(2)]
    both = method.loss(images, views)['loss_pixel']
    with torch.no_grad():
        online = [method.project(method, one) for one in images]
        target = [method.twin(one, method.project) for one in images]
        one, other = (method.objective(online[a], target[b], views.take((a, b)))['loss_pixel']
                      for a, b in ((0, 1), (1, 0)))
    assert both.item() == pytest.approx((one + other).item() / 2, rel=1e-5)


def test_two_processes_are_one():
    one, two = pixel_job(0, 1), run_processes(pixel_job)
    for number, _ in enumerate(CASES):
        parts = [r[0][number] for r in two]
        losses, gradient = one[0][number]
        for name, value in losses.items():
            assert sum(part[0][name] for part in parts) / 2 == pytest.approx(value, rel=1e-5)
        torch.testing.assert_close(gradient, torch.cat([part[1] for part in parts]))
    assert [r[1] for r in (one, *two)] == [[([], [])] * len(CASES)] * 3


@pytest.mark.parametrize('loss', [consistency_of_pairs, pixel_contrast])
def test_images_without_pairs_count_as_0_and_gradients_are_finite(loss):
    (query, key), near = cells(2), torch.zeros(2, 20, 20, dtype=torch.bool)
    near[1, 3, 4:7] = True
    query = query.requires_grad_()
    both, second = loss(query, key, near), loss(query[1:], key[1:], near[1:])
    assert both.item() == pytest.approx(second.item() / 2, rel=1e-5)
    both.backward()
    assert query.grad.isfinite().all() and query.grad[0].abs().max() == 0
    assert loss(query, key, torch.zeros_like(near)) == 0


@pytest.mark.parametrize('loss', [consistency_of_pairs, pixel_contrast])
def test_in_half_precision(loss):
    query, key = (x.bfloat16() for x in cells(3))
    near = torch.rand(3, 20, 20) < 0.2
    with torch.autocast('cpu', dtype=torch.bfloat16):
        mixed = loss(query, key, near)
    assert mixed.dtype == torch.float32
    assert mixed.item() == pytest.approx(loss(query.float(), key.float(), near).item(), rel=1e-5)


def step(method, optimizer, seed):
    seed_everything(seed)
    images = [torch.randn(4, 3, 64, 64) for _ in range(2)]
    found = method.loss(images, views_apart(4))
    optimizer.zero_grad()
    sum(value for name, value in found.items() if 'loss' in name).backward()
    optimizer.step()
    return {name: value.item() for name, value in found.items()}


@pytest.mark.parametrize(('kind', 'changes'), CASES)
def test_a_resumed_method_gives_the_same_losses(kind, changes):
    method = build_pixel(kind, **changes)
    optimizer = torch.optim.SGD(method.parameters(), lr=0.1)
    for seed in range(2):
        step(method, optimizer, seed)
    resumed = build_pixel(kind, **changes)
    resumed.load_state_dict(copy.deepcopy(method.state_dict()))
    other = torch.optim.SGD(resumed.parameters(), lr=0.1)
    assert [step(method, optimizer, seed) for seed in range(2, 4)] \
        == [step(resumed, other, seed) for seed in range(2, 4)]


@pytest.mark.parametrize(('make', 'told'), [
    (lambda: build_pixel('PixPro', threshold=0), r'GeometryMatcher\(threshold=0\): expected above'),
    (lambda: PixelPropagation(4, gamma=0), r'PixelPropagation\(gamma=0, num_layers=1\)'),
    (lambda: pixel_contrast(*cells(2), torch.ones(2, 20, 19, dtype=torch.bool)),
     r'with pairs \(2, 20, 19\) .* pairs \(2, 20, 20\)'),
    (lambda: build_pixel('PixPro', published=True).objective(
        *((x,) for x in cells(2)), views_apart(2)), "fractions of an image's axes need its size")])
def test_what_does_not_fit_is_told(make, told):
    with pytest.raises(ValueError, match=told):
        make()
