"""DenseCL: against slow loops and mmpretrain's, over processes, resumed, in gradients."""
from __future__ import annotations

import copy

import pytest
import torch
from jobs.densecl import branches, ddp_job, objective_job, shuffle_job, without_gradient
from jobs.processes import run_processes
from mmengine.registry import MODELS, DefaultScope
from references.densecl import cross_entropy
from references.densecl import densecl as slow_densecl
from references.tiny import BACKBONE, build, views_of

from mmdense.models.matching import Matches, cell_centres
from mmdense.models.queue import EMPTY


def queues_of(method):
    return method.contrast.queue, method.dense_contrast.queue


@pytest.mark.parametrize('batch', [1, 5])
@pytest.mark.parametrize('queue', [dict(size=24), dict(size=24, own_image='masked'), dict(size=5),
                                   dict(size=9, init='empty', own_image='masked')])
def test_losses_equal_the_slow_loop(batch, queue):
    method = build(queue=queue)
    seen = torch.tensor([3, 0, 7, 4])
    for q in queues_of(method):
        q.push(torch.nn.functional.normalize(torch.randn(4, 16)), seen)
    index, (online, target) = torch.arange(batch), branches(batch)
    slots = method.contrast.queue.index.clone()

    def allowed(image, slot):
        own = method.contrast.mask_own_image and slots[slot] == index[image]
        return slots[slot] != EMPTY and not own
    expected = slow_densecl(online, target, method.contrast.queue.keys.clone(),
                            method.dense_contrast.queue.keys.clone(), allowed=allowed)
    losses = method.objective(online, target, views_of(index))
    assert losses['loss_single'].item() == pytest.approx(0.5 * expected[0], rel=1e-5, abs=1e-6)
    assert losses['loss_dense'].item() == pytest.approx(0.5 * expected[1], rel=1e-5, abs=1e-6)


def test_autocast_stays_close_to_the_slow_loop():
    method, (online, target) = build(), branches(4)
    halves = [[t.bfloat16() for t in b] for b in (online, target)]
    # the same numbers, so that the same cells match
    expected = slow_densecl(*[[t.float() for t in b] for b in halves],
                            method.contrast.queue.keys.clone(), method.dense_contrast.queue.keys)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        losses = method.objective(*halves, views_of(torch.arange(4)))
    assert losses['loss_single'].dtype == torch.float32
    for name, value in zip(('loss_single', 'loss_dense'), expected, strict=True):
        assert losses[name].item() == pytest.approx(0.5 * value, rel=1e-4)


def stock_densecl():
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return MODELS.build(dict(
            type='mmpretrain.DenseCL', queue_len=24, feat_dim=16, momentum=0.1, loss_lambda=0.5,
            backbone=dict(type='mmseg.ResNet', **{k: v for k, v in BACKBONE.items()
                                                  if k != 'type'}),
            neck=dict(type='DenseCLNeck', in_channels=64, hid_channels=32, out_channels=16),
            head=dict(type='ContrastiveHead', loss=dict(type='CrossEntropyLoss'),
                      temperature=0.2)))


def assert_same(method, backbone, neck, **tolerance):
    """A method's networks, or its twin's, are those of a stock backbone and neck."""
    pairs = ((method.backbone, backbone), (method.projector.layers, neck.mlp),
             (method.dense_projector.layers, neck.mlp2))
    for ours, stock in pairs:
        torch.testing.assert_close(dict(ours.named_parameters()), dict(stock.named_parameters()),
                                   **tolerance)


def copy_networks(backbone, neck, method):
    method.backbone.load_state_dict(backbone.state_dict())
    method.projector.layers.load_state_dict(neck.mlp.state_dict())
    method.dense_projector.layers.load_state_dict(neck.mlp2.state_dict())


def test_equals_mmpretrain_from_the_second_step_on():
    """Each step starts from the stock method's weights, key networks and queues.

    Over several steps sums in another order grow apart until a match flips, which says nothing.
    """
    stock, ours = stock_densecl(), build()
    copy_networks(stock.backbone, stock.neck, ours)
    optimizers = [torch.optim.SGD([p for p in m.parameters() if p.requires_grad], lr=0.05)
                  for m in (ours, stock)]
    for step in range(4):
        images = [torch.randn(6, 3, 64, 64) for _ in range(2)]
        queues = stock.queue.t().clone(), stock.queue2.t().clone()
        copy_networks(stock.backbone, stock.neck, ours)
        expected = stock.loss(images, [])       # its key networks follow first
        ours.twin.follow()
        if step:
            assert_same(ours.twin, *stock.encoder_k.module, rtol=1e-4, atol=1e-5)
            copy_networks(*stock.encoder_k.module, ours.twin)
        for queue, keys in zip(queues_of(ours), queues, strict=True):
            queue.keys.copy_(keys)
        losses = ours.loss(images, views_of(torch.arange(6)))
        if step:
            for name in ('loss_single', 'loss_dense'):
                torch.testing.assert_close(losses[name], expected[name], rtol=1e-5, atol=1e-5)
            for queue, keys in zip(queues_of(ours), (stock.queue, stock.queue2), strict=True):
                torch.testing.assert_close(queue.keys, keys.t(), rtol=1e-4, atol=1e-5)
        for found, optimizer in zip((losses, expected), optimizers, strict=True):
            optimizer.zero_grad()
            sum(found.values()).backward()
            optimizer.step()
        if step:
            assert_same(ours, stock.backbone, stock.neck, rtol=1e-4, atol=1e-5)


def test_two_processes_give_the_loss_and_gradients_of_one():
    one, two = objective_job(0, 1), run_processes(objective_job)
    for name, value in one[0].items():
        assert sum(r[0][name] for r in two) / 2 == pytest.approx(value, rel=1e-5)
    for whole, first, second in zip(one[1], two[0][1], two[1][1], strict=True):
        torch.testing.assert_close(whole, torch.cat([first, second]))
    for r in two:
        torch.testing.assert_close(torch.tensor(r[2]), torch.tensor(one[2]))
        assert (r[3] == one[3]).all()


def test_shuffled_rows_come_back_in_order_and_were_elsewhere():
    for in_order, own, count in run_processes(shuffle_job):
        assert in_order and count == 5 and 2 <= own <= 3


def test_every_parameter_gets_a_gradient_but_the_twins():
    method = build()
    images = [torch.randn(4, 3, 64, 64) for _ in range(2)]
    sum(method.loss(images, views_of(torch.arange(4))).values()).backward()
    assert without_gradient(method) == ([], [])
    assert all(p.grad.abs().sum() > 0 for n, p in method.named_parameters()
               if n.startswith(('dense_projector.', 'projector.', 'backbone.layer4')))
    assert run_processes(ddp_job) == [([], [])] * 2


def step(method, optimizer, seed):
    g = torch.Generator().manual_seed(seed)
    images = [torch.randn(4, 3, 64, 64, generator=g) for _ in range(2)]
    losses = method.loss(images, views_of(torch.arange(4)))
    optimizer.zero_grad()
    sum(losses.values()).backward()
    optimizer.step()
    return {name: loss.item() for name, loss in losses.items()}


def test_a_resumed_method_gives_the_same_next_loss():
    # the warm-up ends between the steps, so its count must be saved too
    method = build(dense_warmup=3)
    optimizer = torch.optim.SGD(method.parameters(), lr=0.1)
    for i in range(2):
        step(method, optimizer, i)
    resumed = build(dense_warmup=3)
    resumed.load_state_dict(copy.deepcopy(method.state_dict()))
    other = torch.optim.SGD(resumed.parameters(), lr=0.1)
    for i in range(2, 5):
        losses = step(method, optimizer, i)
        assert losses == step(resumed, other, i)
        assert (losses['loss_dense'] > 0) == (i >= 3)


@pytest.mark.parametrize('num_grid', [None, 1, 3, 5])
def test_any_grid_and_view_size(num_grid):
    method, cells = build(num_grid=num_grid), []
    match = method.matcher.forward
    method.matcher.forward = lambda *args: cells.append(match(*args).index.shape[1]) or match(*args)
    losses = method.loss([torch.randn(2, 3, 80, 100) for _ in range(2)],
                         views_of(torch.arange(2)))
    assert cells == [3 * 4 if num_grid is None else num_grid ** 2]
    assert all(torch.isfinite(v) for v in losses.values())


class Planted(torch.nn.Module):
    """The key's cell at the same place, unless that is right of the middle of the first view."""

    def __init__(self, soft: bool) -> None:
        super().__init__()
        self.soft = soft

    def forward(self, query, key, views):
        middle = views.boxes[0][:, [0, 2]].mean(1)
        valid = cell_centres(views.boxes[0], views.flips[0], *query.shape[2:])[..., 0] \
            < middle[:, None]
        index = torch.arange(valid.shape[1]).expand_as(valid).contiguous()
        index[~valid] = 0
        if not self.soft:
            return Matches(valid, index)
        weights = torch.nn.functional.one_hot(index, valid.shape[1]).float()
        return Matches(valid, weights=weights.masked_fill(~valid[..., None], torch.nan))


@pytest.mark.parametrize('soft', [False, True])
def test_cells_without_a_match_do_not_count(soft):
    """A matcher sees where the views lie; what it leaves out is in neither loss nor gradient."""
    method, (online, target) = build(matcher=Planted(soft)), branches(3)
    views = views_of(torch.arange(3))
    slots = method.dense_contrast.queue.keys.clone()
    cells = online[1].requires_grad_()
    loss = method.objective(online, target, views)['loss_dense']
    loss.backward()
    expected = [cross_entropy(cells[b, :, i].detach().double(), target[1][b, :, i].double(),
                              slots.double(), 0.2) for b in range(3) for i in (0, 2, 4)]
    assert loss.item() == pytest.approx(0.5 * sum(expected) / len(expected), rel=1e-5)
    assert [bool(cells.grad[:, :, i].any()) for i in range(6)] == [True, False] * 3


def test_no_match_at_all_is_no_loss():
    method, (online, target) = build(matcher=Planted(False)), branches(3)
    cells = online[1].requires_grad_()
    views = views_of(torch.arange(3))
    views.boxes = views.boxes * 0
    losses = method.objective(online, target, views)
    losses['loss_dense'].backward()
    assert losses['loss_dense'].item() == 0 and not cells.grad.any()


def test_wrong_own_image_is_named():
    with pytest.raises(ValueError, match="own_image='drop': expected 'negative' or 'masked'"):
        build(queue=dict(size=4, own_image='drop'))


def test_a_queue_that_holds_nothing_is_an_error():
    with pytest.raises(ValueError, match=r'queue.size=0: there would be no negatives'):
        build(queue=dict(size=0))


@pytest.mark.parametrize('name, change', [
    pytest.param('projector', {}, id='projector', marks=pytest.mark.situation(
        'backbones', "`projector.in_channels` is not the map's", 'error',
        '"backbone gives 64 channels, projector.in_channels is 48", and what to set')),
    pytest.param('dense_projector', {}, id='dense_projector', marks=pytest.mark.situation(
        'backbones', "`dense_projector.in_channels` is not the map's", 'error',
        'the same for the head of the map')),
    ('dense_projector', dict(num_grid=3))])
def test_wrong_channels_of_a_projector_are_told(name, change):
    wrong = dict(type='mmdense.Projector', in_channels=48, hidden_channels=8, out_channels=16)
    method = build(**{name: wrong}, **change)
    with pytest.raises(ValueError, match=f'backbone gives 64 channels, {name}.in_channels is 48 '
                                         r'\(ResNet, out_index=-1\): set'):
        method.loss([torch.randn(2, 3, 64, 64)] * 2, views_of(torch.arange(2)))
