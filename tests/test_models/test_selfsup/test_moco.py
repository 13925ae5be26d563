"""MoCo v2: against a slow loop and mmpretrain's, over processes, resumed, in gradients."""
from __future__ import annotations

import copy

import pytest
import torch
from jobs.densecl import without_gradient
from jobs.moco import ddp_job, objective_job, vectors
from jobs.processes import run_processes
from mmengine.registry import MODELS, DefaultScope
from references.moco import moco as slow_moco
from references.tiny import BACKBONE, build, build_moco, views_of

from mmdense.models.queue import EMPTY


@pytest.mark.parametrize('batch', [1, 5])
@pytest.mark.parametrize('queue', [dict(size=24), dict(size=24, own_image='masked'), dict(size=0),
                                   dict(size=9, init='empty', own_image='masked')])
def test_the_loss_equals_the_slow_loop(batch, queue):
    method = build_moco(queue=queue)
    method.queue.push(torch.nn.functional.normalize(torch.randn(4, 16)),
                      torch.tensor([3, 0, 7, 4]))
    index, (query, key) = torch.arange(batch), vectors(batch)
    slots = method.queue.index.clone()

    def allowed(image, slot):
        own = method.mask_own_image and slots[slot] == index[image]
        return slots[slot] != EMPTY and not own
    expected = slow_moco(query, key, method.queue.keys.clone(), allowed=allowed)
    losses = method.objective((query,), (key,), index)
    assert set(losses) == {'loss_single'}
    assert losses['loss_single'].item() == pytest.approx(expected, rel=1e-5, abs=1e-6)
    if len(method.queue):      # and the keys were pushed behind it
        assert set(index.tolist()) <= set(method.queue.index.tolist())


def test_an_evaluated_method_leaves_its_queue_alone():
    method, (query, key) = build_moco().eval(), vectors(3)
    before = method.queue.keys.clone()
    method.objective((query,), (key,), torch.arange(3))
    assert torch.equal(before, method.queue.keys) and method.queue.pointer == 0


def test_equals_mmpretrain_step_by_step():
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        stock = MODELS.build(dict(
            type='mmpretrain.MoCo', queue_len=24, feat_dim=16, momentum=0.1,
            backbone=dict(BACKBONE, type='mmseg.ResNet'),
            neck=dict(type='MoCoV2Neck', in_channels=64, hid_channels=32, out_channels=16),
            head=dict(type='ContrastiveHead', loss=dict(type='CrossEntropyLoss'),
                      temperature=0.2)))
    ours = build_moco()
    ours.backbone.load_state_dict(stock.backbone.state_dict())
    ours.projector.layers.load_state_dict(stock.neck.mlp.state_dict())
    ours.queue.keys.copy_(stock.queue.t())
    optimizers = [torch.optim.SGD([p for p in m.parameters() if p.requires_grad], lr=0.05)
                  for m in (ours, stock)]
    for _ in range(4):
        images = [torch.randn(6, 3, 64, 64) for _ in range(2)]
        losses = (ours.loss(images, views_of(torch.arange(6)))['loss_single'],
                  stock.loss(images, [])['loss'])
        torch.testing.assert_close(*losses, rtol=1e-4, atol=1e-4)
        for loss, optimizer in zip(losses, optimizers, strict=True):
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def test_is_densecl_without_its_dense_branch():
    """Weights of one load into the other, and give the same first loss."""
    dense, single = build(dense_weight=0.0), build_moco()
    state = dense.state_dict()
    assert [name for name in state if name not in single.state_dict()] == [
        name for name in state if 'dense_' in name]
    single.load_state_dict(state, strict=False)
    images = [torch.randn(4, 3, 64, 64) for _ in range(2)]
    losses = [m.loss(images, views_of(torch.arange(4)))['loss_single'] for m in (dense, single)]
    assert torch.equal(*losses)


def test_two_processes_give_the_loss_and_gradients_of_one(tmp_path):
    one, two = objective_job(0, 1), run_processes(objective_job, tmp_path)
    assert sum(r[0] for r in two) / 2 == pytest.approx(one[0], rel=1e-5)
    torch.testing.assert_close(one[1], torch.cat([r[1] for r in two]))
    for r in two:
        torch.testing.assert_close(torch.tensor(r[2]), torch.tensor(one[2]))
        assert (r[3] == one[3]).all()


def test_every_parameter_gets_a_gradient_but_the_twins(tmp_path):
    method = build_moco()
    images = [torch.randn(4, 3, 64, 64) for _ in range(2)]
    method.loss(images, views_of(torch.arange(4)))['loss_single'].backward()
    assert without_gradient(method) == ([], [])
    assert all(p.grad.abs().sum() > 0 for n, p in method.named_parameters()
               if n.startswith(('projector.', 'backbone.layer4')))
    assert run_processes(ddp_job, tmp_path) == [([], [])] * 2


def step(method, optimizer, seed):
    g = torch.Generator().manual_seed(seed)
    images = [torch.randn(4, 3, 64, 64, generator=g) for _ in range(2)]
    loss = method.loss(images, views_of(torch.arange(4)))['loss_single']
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


def test_a_resumed_method_gives_the_same_next_loss():
    queue = dict(size=10, init='empty', own_image='masked')
    method = build_moco(queue=queue)
    optimizer = torch.optim.SGD(method.parameters(), lr=0.1)
    assert step(method, optimizer, 0) == 0       # nothing to contrast with yet
    step(method, optimizer, 1)
    resumed = build_moco(queue=queue)
    resumed.load_state_dict(copy.deepcopy(method.state_dict()))
    other = torch.optim.SGD(resumed.parameters(), lr=0.1)
    for i in range(2, 5):
        assert step(method, optimizer, i) == step(resumed, other, i)


def test_wrong_own_image_is_named():
    with pytest.raises(ValueError, match="own_image='drop': expected 'negative' or 'masked'"):
        build_moco(queue=dict(size=4, own_image='drop'))
