"""The place share as a loss: against loops and finite differences, over processes, in methods."""
from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from jobs.place import METHODS, UNDER_DDP, method_and_views, share_and_ddp_job, share_job
from jobs.processes import run_processes
from references import place_share as reference
from references.tiny import BACKBONE, build, build_multi_task, region_views, views_of

from mmdense.evaluation.place_share import feature_place_share
from mmdense.models.losses import place_share
from mmdense.models.penalties import PlacePenalty

PENALTY = dict(place=dict(type='mmdense.PlacePenalty', weight=0.3))


def planted(batch=4, channels=3, side=(2, 3), amount=1.0, dtype=torch.float32):
    """Vectors that depend on image and place, and on nothing that both share."""
    return (torch.randn(batch, channels, *side) + amount * torch.randn(1, channels, *side)
            + torch.randn(batch, channels, 1, 1)).to(dtype)


def by_loop(maps):
    unit = {}
    for b in range(maps.shape[0]):
        for y in range(maps.shape[2]):
            for x in range(maps.shape[3]):
                vector = maps[b, :, y, x].double().tolist()
                length = math.sqrt(sum(value ** 2 for value in vector))
                unit[b, (y, x)] = [value / length for value in vector]
    return reference.place_share(unit)


@pytest.mark.parametrize('amount', [0.0, 2.0])
@pytest.mark.parametrize('batch', [2, 5])
def test_equals_the_loop_and_what_is_measured(batch, amount):
    maps = planted(batch, amount=amount)
    share = place_share(maps)
    assert share.item() == pytest.approx(by_loop(maps), abs=1e-5)
    assert share.item() == pytest.approx(feature_place_share(maps), abs=1e-5)


def test_the_gradient_is_that_of_the_loop():
    maps = planted(3, dtype=torch.float64).requires_grad_()
    place_share(maps).backward()
    for at in ((0, 0, 0, 0), (1, 2, 1, 2), (2, 1, 0, 1)):
        ends = []
        for step in (1e-5, -1e-5):
            moved = maps.detach().clone()
            moved[at] += step
            ends.append(by_loop(moved))
        assert maps.grad[at].item() == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-4)


def test_lowering_it_leaves_no_place():
    """From cells that say place and content, and content stays."""
    maps, content = planted(8, 6, (3, 3), amount=3.0), torch.randn(8, 6, 3, 3)
    weight = (maps + content).requires_grad_()
    optimizer = torch.optim.Adam([weight], lr=0.05)
    before = place_share(weight).item()
    for _ in range(60):
        optimizer.zero_grad()
        place_share(weight).backward()
        optimizer.step()
    assert before > 0.4 and place_share(weight).item() < 0.05
    assert F.normalize(weight, dim=1).var(0).mean() > 0.05


def test_equal_vectors_have_no_share_and_finite_gradients():
    maps = torch.ones(3, 4, 2, 2, requires_grad=True)
    share = place_share(maps)
    share.backward()
    assert abs(share.item()) < 1 and maps.grad.isfinite().all()


def test_in_half_precision():
    maps = planted(6).bfloat16()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        share = place_share(maps)
    assert share.dtype == torch.float32
    assert share.item() == pytest.approx(by_loop(maps.float()), abs=1e-5)


@pytest.mark.parametrize('maps', [torch.randn(4, 3, 1, 1), torch.randn(1, 3, 2, 2)])
def test_too_little_to_say_is_an_error(maps):
    with pytest.raises(ValueError, match='needs at least 2 cells and 2 images'):
        place_share(maps)
    with pytest.raises(ValueError, match='weight=0.: expected a number above 0'):
        PlacePenalty(weight=0)


@pytest.fixture(scope='module')
def processes():
    return list(zip(*run_processes(share_and_ddp_job), strict=True))


def test_two_processes_give_the_share_and_gradient_of_one(processes):
    (value, grad), two = share_job(0, 1), processes[0]
    assert all(part[0] == pytest.approx(value, abs=1e-6) for part in two)
    torch.testing.assert_close(torch.cat([part[1] for part in two]), grad)


def test_every_parameter_gets_its_gradient_under_ddp(processes):
    assert list(processes[1]) == [[([], [])] * len(UNDER_DDP)] * 2


@pytest.mark.parametrize('name', METHODS)
def test_any_method_takes_it(name):
    """Its other losses stay, and the penalty is of the trained network's maps alone."""
    images = None
    found = []
    for penalties in (None, PENALTY):
        method, images, views = method_and_views(name, penalties=penalties)
        seen = []
        if penalties:
            method.penalties.place.register_forward_hook(
                lambda _, args, out, seen=seen: seen.extend([*(one for _, one in args[1]), out]))
        torch.manual_seed(1)
        found.append(method(images, views, mode='loss'))
    plain, penalised = found
    assert penalised.keys() - plain.keys() == {'loss_place'}
    for key, value in plain.items():
        torch.testing.assert_close(penalised[key], value)
    *maps, loss = seen
    assert len(maps) == (1 if name in ('MoCo', 'DenseCL', 'CP2') else 2)
    assert all(one.requires_grad and one.ndim == 4 for one in maps)
    expected = sum(map(by_loop, (one.detach() for one in maps))) / len(maps)
    assert loss.item() == pytest.approx(0.3 * expected, abs=1e-5)
    total, logged = method.parse_losses(penalised)
    plain_total, _ = method.parse_losses(plain)
    torch.testing.assert_close(total, plain_total + loss)
    assert method.passes is None
    method.bare(images)
    assert method.passes is None, 'nothing is kept beside a step'


def test_a_task_of_several_takes_it():
    tasks = build_multi_task().tasks
    assert not any(task.penalties for task in tasks.values())
    torch.manual_seed(0)
    model = build_multi_task()
    model.tasks['cells'].penalties = torch.nn.ModuleDict(dict(place=PlacePenalty(2.0)))
    images = [torch.randn(4, 3, 64, 64) for _ in range(2)]
    batch = dict(image=images, cells=images)
    losses = model(batch, dict.fromkeys(batch, views_of(torch.arange(4))), mode='loss')
    assert 'cells.loss_place' in losses and 'image.loss_place' not in losses


def test_a_name_that_is_taken_is_an_error():
    method = build(penalties=dict(dense=dict(type='mmdense.PlacePenalty')))
    with pytest.raises(ValueError, match='penalties: DenseCL has a loss_dense of its own'):
        method([torch.randn(4, 3, 64, 64) for _ in range(2)], views_of(torch.arange(4)),
               mode='loss')


def test_a_pass_without_gradient_is_not_penalised():
    """DetCon_S first looks at the whole image, to find its clusters."""
    method = METHODS['DetConS'](penalties=PENALTY, regions=dict(
        type='mmdense.ClusteredRegions', clusters=(2, 4), iterations=3))
    seen = []
    method.backbone.register_forward_hook(lambda _, args, out: seen.append(out[-1]))
    images, views = [torch.randn(4, 3, 64, 64) for _ in range(3)], region_views(4, views=3)
    loss = method(images, views, mode='loss')['loss_place']
    expected = sum(by_loop(maps.detach()) for maps in seen[1:]) / 2
    assert len(seen) == 3 and not seen[0].requires_grad
    assert loss.item() == pytest.approx(0.3 * expected, abs=1e-5)


def test_the_cells_of_another_map_are_those_penalised():
    method = build(backbone={**BACKBONE, 'out_indices': (2, 3)}, cell_index=0, penalties=PENALTY,
                   dense_projector=dict(type='mmdense.Projector', out_channels=16))
    seen = []
    method.backbone.register_forward_hook(lambda _, args, out: seen.append(out[0]))
    images = [torch.randn(4, 3, 64, 64) for _ in range(2)]
    loss = method(images, views_of(torch.arange(4)), mode='loss')['loss_place']
    assert loss.item() == pytest.approx(0.3 * by_loop(seen[0].detach()), abs=1e-5)
