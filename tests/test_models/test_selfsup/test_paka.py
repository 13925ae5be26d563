"""PaKA: a slow loop, processes, resumed, views apart, and that places alone have no loss."""
from __future__ import annotations

import copy

import pytest
import torch
from jobs.distill import build_paka, paka_job
from jobs.location import maps, views_apart
from jobs.processes import run_processes
from references import alignment as loops
from references import distill as slow
from references.tiny import views_of

from mmdense.models.matching import cell_centres
from mmdense.structures import Views


@pytest.mark.parametrize('batch', [1, 3])
def test_equals_the_slow_loop(batch):
    """Both ways; the views of one image lie apart."""
    method = build_paka()
    (query, key), _ = maps(batch, seed=1)
    views = views_apart(batch)
    expected = []
    for own, other, (one, two) in ((query, key, (0, 1)), (key, query, (1, 0))):
        found = method.objective((own,), (other,), views.take((one, two)))
        expected.append(slow.distilled(
            loops.kernel_alignment, own, other, views.boxes[one].tolist(),
            views.flips[one].tolist(), views.boxes[two].tolist(), views.flips[two].tolist()))
        assert found['loss_alignment'].item() == pytest.approx(expected[-1], rel=1e-4)
        assert 0 < found['matched'] < 1
    with torch.autocast('cpu', torch.bfloat16):
        mixed = method.objective((key.bfloat16(),), (query.bfloat16(),), views.take((1, 0)))
    assert mixed['loss_alignment'].dtype == torch.float32
    assert mixed['loss_alignment'].item() == pytest.approx(expected[-1], abs=0.03)


def test_views_apart_lose_nothing():
    (query, key), _ = maps(2, seed=1)
    boxes = torch.tensor([[[0., 0, 20, 20]] * 2, [[50., 50, 70, 70]] * 2])
    query.requires_grad_()
    found = build_paka().objective((query,), (key,), Views(
        boxes, torch.zeros(2, 2).bool(), torch.arange(2)))
    found['loss_alignment'].backward()
    assert found['loss_alignment'] == found['matched'] == 0 and query.grad.abs().max() == 0


def test_places_alone_have_no_loss():
    """As the page says; so a start has to know things."""
    views, size = views_apart(2).take((0, 0)), (5, 4)
    own, other = (cell_centres(box, flip, *size).transpose(1, 2).unflatten(2, size)
                  for box, flip in zip(views.boxes, views.flips, strict=True))
    found = build_paka().objective((own * 3 + 1,), (other,), views)
    assert found['loss_alignment'].item() == pytest.approx(0, abs=1e-4)


def test_two_processes_are_one():
    (loss, matched, grad, missing), two = paka_job(0, 1), run_processes(paka_job)
    assert sum(part[0] for part in two) / 2 == pytest.approx(loss, rel=1e-5)
    assert sum(part[1] for part in two) / 2 == pytest.approx(matched)
    torch.testing.assert_close(grad, torch.cat([part[2] for part in two]))
    assert [part[3] for part in two] + [missing] == [missing] * 3
    assert all(name.startswith('twin.') for name in missing[0]) and not missing[1]


def step(method, optimizer, seed):
    torch.manual_seed(seed)
    images = [torch.randn(2, 3, 64, 64) for _ in range(2)]
    loss = method(images, views_of(torch.arange(2)), mode='loss')['loss_alignment']
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


def test_a_resumed_method_gives_the_same_losses():
    method = build_paka()
    optimizer = torch.optim.SGD(method.parameters(), lr=0.1)
    step(method, optimizer, 0)
    resumed = build_paka()
    resumed.load_state_dict(copy.deepcopy(method.state_dict()))
    other = torch.optim.SGD(resumed.parameters(), lr=0.1)
    assert [step(method, optimizer, seed) for seed in (1, 2)] \
        == [step(resumed, other, seed) for seed in (1, 2)]
    assert all(p.grad is None for p in method.twin.parameters())
