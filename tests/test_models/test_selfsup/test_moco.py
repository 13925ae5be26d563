"""MoCo: against a slow loop, over processes, resumed, in both directions; what is not a method."""
from __future__ import annotations

import copy

import pytest
import torch
from jobs.moco import ENCODER, HEAD, both_jobs, vectors
from jobs.processes import run_processes
from mmengine.registry import MODELS, DefaultScope
from references.densecl import cross_entropy
from references.tiny import build, build_cp2, build_moco, config, moco_config, views_of

from mmdense.component_errors import component_message
from mmdense.models.queue import EMPTY


@pytest.mark.parametrize('batch', [1, 5])
@pytest.mark.parametrize('queue', [dict(size=24), dict(size=24, own_image='masked'),
                                   dict(size=9, init='empty', own_image='masked')])
def test_the_loss_equals_the_slow_loop(batch, queue):
    method, (query, key) = build_moco(queue=queue), vectors(batch)
    memory, index = method.contrast.queue, torch.arange(batch)
    memory.push(torch.nn.functional.normalize(torch.randn(4, 16)), torch.tensor([3, 0, 7, 4]))
    expected = []
    for row in range(batch):
        masked = queue.get('own_image') == 'masked'
        negatives = [memory.keys[slot].double() for slot in range(len(memory))
                     if memory.index[slot] != EMPTY
                     and not (masked and memory.index[slot] == index[row])]
        expected.append(cross_entropy(query[row].double(), key[row].double(), negatives, 0.2))
    found = method.objective((query,), (key,), views_of(index))
    assert list(found) == ['loss_image']
    assert found['loss_image'].item() == pytest.approx(sum(expected) / batch, rel=1e-5, abs=1e-6)
    torch.testing.assert_close(memory.keys[torch.arange(4, 4 + batch) % len(memory)],
                               torch.nn.functional.normalize(key))


def test_two_processes_are_one():
    """Loss, gradients and keys; and only the twin has no gradient."""
    ones, two = both_jobs(0, 1), run_processes(both_jobs)
    for one, *parts in zip(ones, *two, strict=True):
        assert sum(r[0] for r in parts) / 2 == pytest.approx(one[0], rel=1e-5)
        torch.testing.assert_close(one[1], torch.cat([r[1] for r in parts]))
        for r in parts:
            torch.testing.assert_close(torch.tensor(r[2]), torch.tensor(one[2]))
        assert [r[3] for r in (one, *parts)] == [([], [])] * 3


def step(method, optimizer, seed):
    g = torch.Generator().manual_seed(seed)
    images = [torch.randn(4, 3, 64, 64, generator=g) for _ in range(2)]
    loss = sum(method.loss(images, views_of(torch.arange(4))).values())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


@pytest.mark.parametrize('changes', [{}, ENCODER])
def test_a_resumed_method_gives_the_same_losses(changes):
    method = build_moco(**changes)
    optimizer = torch.optim.SGD(method.parameters(), lr=0.1)
    for seed in range(2):
        step(method, optimizer, seed)
    resumed = build_moco(**changes)
    resumed.load_state_dict(copy.deepcopy(method.state_dict()))
    other = torch.optim.SGD(resumed.parameters(), lr=0.1)
    assert [step(method, optimizer, seed) for seed in range(2, 5)] \
        == [step(resumed, other, seed) for seed in range(2, 5)]
    assert method.state_dict()['twin.steps'] == 5


def test_a_queue_that_is_to_be_filled_first_counts_then():
    """``init='filled'``: 0 and no gradient until all slots are written, then as ``'empty'``."""
    models = {init: build_moco(queue=dict(size=6, init=init)) for init in ('filled', 'empty')}
    models['filled'].load_state_dict(models['empty'].state_dict())
    for step, counts in enumerate((False, False, True, True)):      # 4 keys a step
        views, images = views_of(torch.arange(4) + 4 * step), [
            torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(2 * step + view))
            for view in (0, 1)]
        found = {init: model.train().loss(images, views)['loss_image']
                 for init, model in models.items()}
        assert (found['filled'] == found['empty']) == (counts or step == 0)
        assert (found['filled'] > 0) == counts
        found['filled'].backward()
        grads = [p.grad.abs().max() for p in models['filled'].backbone.parameters()]
        assert (max(grads) > 0) == counts
        models['filled'].zero_grad()


def test_densecl_is_moco_and_cells():
    """Its image-level loss is MoCo's, on the same weights, twin and queue."""
    dense, plain = build(dense_warmup=0), build_moco()
    plain.load_state_dict({name: value for name, value in dense.state_dict().items()
                           if 'dense' not in name})
    images = [torch.randn(4, 3, 64, 64) for _ in range(2)]
    losses = [method.loss(images, views_of(torch.arange(4))) for method in (dense, plain)]
    assert 0.5 * losses[1]['loss_image'].item() == pytest.approx(losses[0]['loss_single'].item())


def test_the_encoders_own_loss_beside_the_decoders():
    """The weights add up to 1, each loss is what it is alone, and images pass the encoder once."""
    method = build_moco(**ENCODER, encoder_weight=0.25)
    vectors_of = [vectors(5, seed=seed) for seed in (1, 2)]
    alone = [copy.deepcopy(part) for part in (method.contrast, method.encoder_contrast)]
    found = method.objective(*zip(*vectors_of, strict=True), views_of(torch.arange(5)))
    for name, share, contrast, pair in zip(('loss_image', 'loss_encoder'), (0.75, 0.25), alone,
                                           vectors_of, strict=True):
        assert found[name].item() == pytest.approx(
            share * contrast(*pair, torch.arange(5)).item())
    assert method.encoder_projector.in_channels == 64 and method.projector.in_channels == 12
    images, passes = torch.randn(2, 3, 64, 64), []
    method.eval().backbone.register_forward_hook(lambda *args: passes.append(args[2][-1]))
    rows = method.project(method, images)
    assert len(passes) == 1
    assert torch.equal(rows[1], method.encoder_projector(passes[0].mean((2, 3))))


@pytest.mark.parametrize('make', [build, build_cp2])
@pytest.mark.parametrize('change', [dict(encoder_projector=HEAD), dict(encoder_weight=0.5)])
@pytest.mark.situation('settings', "the encoder's own loss in a method that has none, such as CP2",
                       'error', 'names the argument')
def test_methods_without_a_loss_of_the_encoder_refuse_it(make, change):
    with pytest.raises((TypeError, ValueError), match=next(iter(change))):
        make(**change)


def test_both_directions_are_the_mean_of_each():
    one, both = build_moco(), build_moco(symmetric=True)
    both.load_state_dict(one.state_dict())
    images, views = [torch.randn(4, 3, 64, 64) for _ in range(2)], views_of(torch.arange(4))
    for method in (one, both):
        method.eval()                   # neither queue nor statistics move
    ways = [one.loss(list(order), views)['loss_image'].item()
            for order in (images, images[::-1])]
    assert both.loss(images, views)['loss_image'].item() == pytest.approx(sum(ways) / 2)


@pytest.mark.parametrize('make', [build, build_moco])
@pytest.mark.parametrize('count', [1, 3])
@pytest.mark.situation('settings', 'a pipeline of more or fewer views than the method takes',
                       'error',
                       'says how many there are, how many are expected, and what makes them')
def test_one_view_is_too_few_and_three_are_too_many(make, count):
    with pytest.raises(ValueError, match=rf'got {count} view\(s\) of an image; expected 2: '):
        make()([torch.randn(2, 3, 64, 64)] * count, views_of(torch.arange(2)), mode='loss')


def test_the_map_that_the_loss_compares():
    images = torch.randn(2, 3, 96, 64)
    assert build_moco().loss_map(images) is None
    assert build().loss_map(images).shape == (2, 64, 3, 2)
    assert build(num_grid=7).loss_map(images).shape == (2, 64, 7, 7)


@pytest.mark.parametrize('cfg, missing', [(moco_config(), 'projector'),
                                          (config(), 'projector'), (config(), 'twin')])
def test_a_head_that_is_missing_is_told(cfg, missing):
    with DefaultScope.overwrite_default_scope('mmseg'), pytest.raises(TypeError) as caught:
        MODELS.build({name: value for name, value in cfg.items() if name != missing})
    assert component_message(caught.value) == f"{cfg['type']}: needs {missing!r}"
