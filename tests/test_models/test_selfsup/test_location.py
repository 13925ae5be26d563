"""Location contrast: against a slow loop, over processes, resumed, in gradients."""
from __future__ import annotations

import copy
import math

import pytest
import torch
from jobs.densecl import without_gradient
from jobs.location import CASES, maps, objective_and_ddp_job, objective_case, views_apart
from jobs.processes import run_processes
from references.location import location as slow_location
from references.location import pairs_of
from references.tiny import build_location

from mmdense.models.matching import draw_cells
from mmdense.models.selfsup import location
from mmdense.models.selfsup.location import split_patches
from mmdense.random_states import seed_everything
from mmdense.structures import Views

TWIN = dict(momentum=0.9, bn='plain')


@pytest.fixture
def drawn(monkeypatch):
    """The cells (B, n) of each draw from now on."""
    seen = []

    def draw(valid, count):
        seen.append(draw_cells(valid, count))
        return seen[-1]
    monkeypatch.setattr(location, 'draw_cells', draw)
    return seen


def slow(method, cells, keys, views, drawn, index=None):
    """The slow loop with a method's settings, and its gradients to the cells."""
    cells = [x.detach().double().requires_grad_() for x in cells]
    keys = cells if keys is None else [x.detach().double() for x in keys]
    loss = slow_location(cells, keys, views.boxes, views.flips,
                         (views.index if index is None else index).tolist(),
                         pairs_of(method.matcher(*cells, views), drawn), method.negatives,
                         method.threshold, 0.2)
    return loss.item(), torch.autograd.grad(loss, cells)


@pytest.mark.parametrize('negatives', ['both', 'batch', 'image'])
@pytest.mark.parametrize(('batch', 'change'), [
    (1, {}), (3, {}), (3, dict(threshold=0.0)), (3, dict(threshold=1.9)), (3, dict(num_cells=6)),
    (3, dict(twin=TWIN))])
def test_loss_and_gradients_equal_the_slow_loop(negatives, batch, change, drawn):
    """One image, an image whose views share nothing, no guard, a wide one, and a twin's keys."""
    method = build_location(negatives=negatives, **change)
    (cells, keys), views = maps(batch), views_apart(batch)
    cells = [x.requires_grad_() for x in cells]
    keys = keys if 'twin' in change else None
    found = method.objective(cells, keys or cells, views)
    found['loss_location'].backward()
    value, gradients = slow(method, cells, keys, views, drawn[0])
    assert found['loss_location'].item() == pytest.approx(value, rel=1e-5, abs=1e-7)
    for x, expected in zip(cells, gradients, strict=True):
        torch.testing.assert_close(x.grad.double(), expected, rtol=1e-4, atol=1e-6)
    assert (value == 0) == (batch == 1 and negatives == 'batch')
    assert 0 < found['matched'].item() < 1 or 'num_cells' in change


@pytest.mark.parametrize('negatives', ['both', 'batch', 'image'])
def test_an_image_twice_in_a_batch_is_one_image(negatives, drawn):
    """Near cells of its other views are no negatives either."""
    method, (cells, _), views = build_location(negatives=negatives), maps(3), views_apart(3)
    views.index = torch.tensor([4, 9, 4])
    views.boxes[:, 2] = views.boxes[:, 0]
    found = method.objective(cells, cells, views)['loss_location'].item()
    assert found == pytest.approx(slow(method, cells, None, views, drawn[0])[0], rel=1e-5)
    apart = slow(method, cells, None, views, drawn[0], index=torch.tensor([4, 9, 5]))[0]
    assert found != pytest.approx(apart, rel=1e-3)


def test_autocast_stays_close_to_the_slow_loop(drawn):
    method, (cells, _), views = build_location(), maps(3), views_apart(3)
    halves = [x.bfloat16() for x in cells]
    with torch.autocast('cpu', dtype=torch.bfloat16):
        found = method.objective(halves, halves, views)['loss_location']
    assert found.dtype == torch.float32
    value, _ = slow(method, [x.float() for x in halves], None, views, drawn[0])
    assert found.item() == pytest.approx(value, rel=1e-4)


@pytest.mark.parametrize('pairs', ['overlap', 'distance'])
def test_a_positive_may_be_a_mixture_of_cells(pairs):
    """With one cell that is the other view's all, it is the nearest one."""
    views = views_apart(3)
    views.boxes[1], views.flips[1] = views.boxes[0], views.flips[0]
    (cells, _), values = maps(3), []
    for matcher in (dict(pairs=pairs), dict()):
        threshold = dict(threshold=0.3) if matcher.get('pairs') == 'distance' else {}
        method = build_location(matcher=dict(type='mmdense.GeometryMatcher', **matcher,
                                             **threshold))
        with torch.autocast('cpu', dtype=torch.bfloat16):
            values.append(method.objective(cells, cells, views)['loss_location'].item())
    assert values[0] == pytest.approx(values[1], rel=1e-4)


@pytest.mark.situation('images', 'location contrast: the views of an image share no place',
                       'works', 'they do not count; `matched` in the log is the share that does')
def test_views_that_share_nothing_give_zero():
    method, views = build_location(), views_apart(3)
    views.boxes[1] += 500
    found = method([torch.randn(3, 3, 64, 64) for _ in range(2)], views, mode='loss')
    assert found['loss_location'].item() == 0 and found['matched'].item() == 0
    total, logged = method.parse_losses(found)
    assert total.item() == 0 and logged['matched'] == 0
    total.backward()
    assert without_gradient(method) == ([], [])
    assert all(p.grad.isfinite().all() for p in method.parameters() if p.grad is not None)


@pytest.fixture(scope='module')
def processes():
    return list(zip(*run_processes(objective_and_ddp_job), strict=True))


@pytest.mark.parametrize('case', CASES)
def test_two_processes_give_the_loss_and_gradients_of_one(processes, case):
    """Though one has an image whose views share nothing."""
    (loss, matched, gradients), two = objective_case(*CASES[case], 0, 1), [
        part[case] for part in processes[0]]
    assert loss > 0 and two[0][1] != two[1][1]
    assert sum(part[0] for part in two) / 2 == pytest.approx(loss, rel=1e-5)
    assert sum(part[1] for part in two) / 2 == pytest.approx(matched, rel=1e-5)
    for whole, *halves in zip(gradients, *(part[2] for part in two), strict=True):
        torch.testing.assert_close(torch.cat(halves), whole, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize('change', [{}, dict(twin=TWIN), dict(instances='patches', num_grid=2)])
def test_every_parameter_gets_a_gradient_but_the_twins(change):
    method = build_location(**change)
    images = [torch.randn(4, 3, 64, 64) for _ in range(2)]
    method.parse_losses(method.loss(images, views_apart(4)))[0].backward()
    assert without_gradient(method) == ([], [])
    assert all(p.grad.abs().sum() > 0 for n, p in method.named_parameters()
               if n.startswith(('projector.', 'backbone.layer4')))


def test_every_parameter_gets_a_gradient_under_ddp(processes):
    assert list(processes[1]) == [[([], [])] * 2] * 2


@pytest.mark.parametrize('twin', [None, TWIN])
def test_a_resumed_method_gives_the_same_next_loss(twin):
    """What was drawn depends on the step, and on nothing else."""
    def step(method, optimizer, number, seed=0):
        g = torch.Generator().manual_seed(number)
        images = [torch.randn(3, 3, 64, 64, generator=g) for _ in range(2)]
        seed_everything(seed, number, 0)
        loss = method.loss(images, views_apart(3))['loss_location']
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    def method_and_optimizer():
        method = build_location(twin=twin, num_cells=2)
        return method, torch.optim.SGD([p for p in method.parameters() if p.requires_grad], lr=0.1)

    pair, resumed = method_and_optimizer(), method_and_optimizer()
    for number in range(2):
        step(*pair, number)
    resumed[0].load_state_dict(copy.deepcopy(pair[0].state_dict()))
    other = copy.deepcopy(pair[0])
    losses = [step(*pair, number) for number in range(2, 4)]
    assert losses == [step(*resumed, number) for number in range(2, 4)]
    assert all(map(math.isfinite, losses))
    assert losses[0] != step(other, torch.optim.SGD(other.parameters(), lr=0.1), 2, seed=1)


def test_patches_are_parts_of_the_view():
    images = torch.arange(2 * 3 * 8 * 6).view(2, 3, 8, 6).float()
    parts = split_patches(images, 2)
    assert parts.shape == (8, 3, 4, 3)
    for n, part in enumerate(parts):
        b, row, column = n // 4, n // 2 % 2, n % 2
        assert torch.equal(part, images[b, :, 4 * row:4 * row + 4, 3 * column:3 * column + 3])


def test_a_patch_sees_nothing_of_its_surroundings():
    """And stands in the map where it stands in the view."""
    method = build_location(instances='patches', num_grid=2).eval()
    images = torch.randn(2, 3, 64, 64)
    whole = method.cells(images)
    assert whole.shape == (2, 64, 2, 2)
    torch.testing.assert_close(method.loss_map(images), whole)
    images[:, :, 32:, :32] += 1
    moved = (method.cells(images) - whole).abs().sum(1) > 1e-6
    assert moved.tolist() == [[[False, False], [True, False]]] * 2
    with pytest.raises(ValueError, match='views of 64 x 60 pixels do not divide into 2'
                                         '|views of 63 x 60'):
        method.cells(torch.randn(2, 3, 63, 60))


def test_a_grid_pools_the_map():
    method = build_location(num_grid=1)
    images = torch.randn(2, 3, 64, 96)
    torch.testing.assert_close(method.loss_map(images),
                               method.encode(images).mean((2, 3), keepdim=True))


def test_cells_with_a_partner_are_drawn_first():
    valid = torch.tensor([[False, True, False, True], [True, True, True, True]])
    seen = [draw_cells(valid, 2) for _ in range(50)]
    assert all(sorted(cells[0].tolist()) == [1, 3] for cells in seen)
    assert {n for cells in seen for n in cells[1].tolist()} == {0, 1, 2, 3}
    assert sorted(draw_cells(valid, 9)[0].tolist()) == [0, 1, 2, 3]


@pytest.mark.parametrize(('change', 'message'), [
    (dict(negatives='far'), "negatives='far'.*expected one of .'image', 'batch', 'both'"),
    (dict(instances='pixels'), "instances='pixels'.*expected one of .'cells', 'patches'"),
    (dict(instances='patches'), "instances='patches'. needs num_grid"),
    (dict(num_cells=0), 'num_cells=0, threshold=1.5.*expected at least 1 cell'),
    (dict(threshold=-1), 'threshold=-1.*expected')])
def test_mistakes_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        build_location(**change)


def test_views_are_two():
    views = Views(torch.zeros(1, 2, 4), torch.zeros(1, 2).bool(), torch.arange(2))
    with pytest.raises(ValueError, match=r'LocationContrast got 1 view\(s\).*expected 2'):
        build_location()([torch.randn(2, 3, 64, 64)], views, mode='loss')
