"""Several tasks on one backbone: what is shared, over processes, saved, and bad input."""
from __future__ import annotations

import copy
import math

import pytest
import torch
from jobs.multi_task import batches, gradient_job, multi_task_job
from jobs.processes import run_processes
from mmengine.registry import DefaultScope
from mmengine.runner import load_checkpoint
from mmseg.registry import MODELS
from references.tiny import (
    BACKBONE,
    build,
    build_moco,
    build_multi_task,
    multi_task_config,
    pixel_config,
)

from mmdense.evaluation.features import FrozenEncoder


def tasks(**changes):
    """The tasks' configs, of which those named get other settings."""
    known = multi_task_config()['tasks']
    return {name: {**cfg, **changes.get(name, {})} for name, cfg in known.items()}


def test_two_processes_are_one():
    """Losses, gradients and queues; nothing that is trained is without gradient."""
    one, two = multi_task_job(0, 1), run_processes(multi_task_job)
    assert list(one[0]) == ['image.loss_image', 'cells.loss_single', 'cells.loss_dense']
    for name, loss in one[0].items():
        assert sum(r[0][name] for r in two) / 2 == pytest.approx(loss, rel=1e-5), name
    for r in two:
        assert r[1].keys() == one[1].keys() and r[3] == one[3] == []
        for part in (1, 2):
            for name, value in one[part].items():
                torch.testing.assert_close(torch.tensor(r[part][name]), torch.tensor(value),
                                           rtol=1e-3, atol=1e-5, msg=name)


def test_each_task_is_the_method_alone():
    """Its losses are those of the method on the same weights, times the weight."""
    model, (inputs, views) = build_multi_task(), batches(0, 1)
    state = copy.deepcopy(model.state_dict())           # before twins and queues move
    losses = model(inputs, views, mode='loss')
    for name, alone, weight in (('image', build_moco(), 1.0), ('cells', build(), 0.5)):
        own = {key.removeprefix(f'tasks.{name}.'): value for key, value in state.items()
               if key.startswith((f'tasks.{name}.', 'backbone.'))}
        alone.load_state_dict(own)
        for key, value in alone(inputs[name], views[name], mode='loss').items():
            assert losses[f'{name}.{key}'].item() == pytest.approx(weight * value.item(), rel=1e-5)


def test_learned_shares():
    """At the start those of fixed weights; the shares and what they cost have their gradients."""
    model, (inputs, views) = build_multi_task(balance='uncertainty'), batches(0, 1)
    fixed = build_multi_task()
    fixed.load_state_dict({key: value for key, value in model.state_dict().items()
                           if 'log_scales' not in key})
    losses, plain = (net(inputs, views, mode='loss') for net in (model, fixed))
    for name, value in plain.items():
        assert losses[name].item() == pytest.approx(value.item())
    assert losses['image.loss_scale'] == losses['cells.loss_scale'] == 0
    model.parse_losses(losses)[0].backward()
    for name, weight in (('image', 1.0), ('cells', 0.5)):
        own = sum(value.item() for key, value in plain.items() if key.startswith(name))
        assert model.log_scales[name].grad.item() == pytest.approx(weight - own, rel=1e-5)
    for scale in model.log_scales.values():
        scale.data.fill_(0.7)
    again, half = (net.eval()(inputs, views, mode='loss') for net in (model, fixed))
    assert again['cells.loss_scale'].item() == pytest.approx(0.35)
    for name, value in half.items():
        assert again[name].item() == pytest.approx(math.exp(-0.7) * value.item(), rel=1e-4)


def lengths(model, name):
    """Return the length of a task's gradient at the backbone's map, without its share."""
    grads = []

    def keep(module, args, out):
        if out[-1].requires_grad:
            out[-1].register_hook(grads.append)
    hook = model.backbone.register_forward_hook(keep)
    inputs, views = batches(0, 1)
    losses = model.tasks[name].loss(inputs[name], views[name])
    hook.remove()
    sum(losses.values()).backward()
    return torch.cat([grad.flatten() for grad in grads]).norm().item()


def test_shares_that_make_gradients_of_one_length():
    """From the second step on; what was noted is saved, and two processes note what one does."""
    model, given = build_multi_task(balance='gradient'), batches(0, 1)
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.train(False)
    alone = [lengths(copy.deepcopy(model), name) for name in model.tasks]
    first = model(*given, mode='loss')
    assert first['image.share'] == first['cells.share'] == 1
    model.parse_losses(first)[0].backward()
    saved = copy.deepcopy(model.state_dict())
    second = model(*given, mode='loss')
    mean = sum(alone) / 2
    for name, length in zip(model.tasks, alone, strict=True):
        assert second[f'{name}.share'].item() == pytest.approx(mean / length, rel=1e-3)
    other = build_multi_task(balance='gradient')
    other.load_state_dict(saved)
    assert torch.equal(other.gradients.shares(), torch.stack(
        [second[f'{name}.share'] for name in model.tasks]))
    (one,), two = gradient_job(0, 1), run_processes(gradient_job)
    for (shares,) in two:
        torch.testing.assert_close(shares, one, rtol=1e-3, atol=1e-5)
    assert not model.backbone._forward_hooks


def test_statistics_of_one_task_alone():
    """BatchNorm still normalises each batch by itself."""
    given, models, found = batches(0, 1), {}, []
    for name in (None, 'image', 'cells'):
        torch.manual_seed(0)
        models[name] = build_multi_task(norm_task=name)
        found.append({key: value.item() for key, value in
                      models[name](*given, mode='loss').items()})
    assert found[0] == found[1] == found[2]
    torch.manual_seed(0)
    alone = build_multi_task()
    alone.tasks['cells'].loss(given[0]['cells'], given[1]['cells'])
    means = {name: model.backbone.bn1.running_mean for name, model in models.items()}
    torch.testing.assert_close(means['cells'], alone.backbone.bn1.running_mean)
    assert not torch.allclose(means['image'], means['cells'])
    assert not torch.allclose(means[None], means['cells'])
    assert models['cells'].backbone.bn1.momentum == 0.1
    with pytest.raises(ValueError, match=r"norm_task='other'\): expected one of"):
        build_multi_task(norm_task='other')


def test_shares_that_cannot_be_learned_are_refused():
    pixels = pixel_config('PixPro')
    del pixels['backbone'], pixels['data_preprocessor']
    with pytest.raises(ValueError, match=r"tasks.pixels: PixPro's loss can be below 0"):
        build_multi_task(tasks=dict(pixels=pixels), balance='uncertainty')
    with pytest.raises(ValueError, match=r"balance='norm'\): expected one of"):
        build_multi_task(balance='norm')


def test_the_backbone_is_there_once(tmp_path):
    """In parameters, checkpoint and copies; and a stock segmentor loads it."""
    model = build_multi_task()
    names = [name for name, _ in model.named_parameters(remove_duplicate=False)]
    assert len(names) == len({id(p) for p in model.parameters()})
    kinds = {key.split('.')[0] if key.startswith('backbone.') else '.'.join(key.split('.')[:3])
             for key in model.state_dict()}
    assert {kind for kind in kinds if 'backbone' in kind} == {'backbone'}
    assert all(kind == 'backbone' or kind.startswith('tasks.') for kind in kinds)
    copied = copy.deepcopy(model)
    for task in copied.tasks.values():
        assert task.backbone is copied.backbone is not model.backbone
        assert task.twin.online['backbone'] is copied.backbone
    torch.save(dict(state_dict=model.state_dict(), meta={}), tmp_path / 'model.pth')
    with DefaultScope.overwrite_default_scope('mmseg'):
        segmentor = MODELS.build(dict(
            type='EncoderDecoder', backbone=BACKBONE, decode_head=dict(
                type='FCNHead', in_channels=64, channels=8, num_classes=3, in_index=0)))
        ours = MODELS.build({**BACKBONE, 'init_cfg': dict(
            type='mmdense.PretrainedBackbone', checkpoint=str(tmp_path / 'model.pth'))})
        ours.init_weights()
    load_checkpoint(segmentor, str(tmp_path / 'model.pth'))
    for net in (segmentor.backbone, ours):
        assert all(torch.equal(value, net.state_dict()[key])
                   for key, value in model.backbone.state_dict().items())


def test_init_cfg_of_backbone_and_tasks_are_carried_out():
    """That of a task reaches its heads, and not the backbone."""
    fill = dict(type='Constant', layer=['Conv2d', 'Linear'], val=0.25)
    model = build_multi_task(tasks=tasks(image=dict(init_cfg=fill)))
    before = copy.deepcopy(model.backbone.conv1.weight)
    model.init_weights()
    assert not torch.equal(model.backbone.conv1.weight, before)
    assert (model.tasks['image'].projector.layers[0].weight == 0.25).all()
    assert (model.backbone.conv1.weight != 0.25).all()
    assert (model.tasks['cells'].projector.layers[0].weight != 0.25).all()


def test_both_twins_follow_once_per_step_and_apart():
    model, (inputs, views) = build_multi_task(), batches(0, 1)
    model.tasks['image'].twin.momentum = 0.5
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    start = copy.deepcopy(model.backbone.conv1.weight)
    for _ in range(2):
        optimizer.zero_grad()
        sum(model(inputs, views, mode='loss').values()).backward()
        optimizer.step()
        if model.tasks['image'].twin.steps == 0:
            first = copy.deepcopy(model.backbone.conv1.weight)
    for name, momentum in (('image', 0.5), ('cells', 0.9)):
        assert model.tasks[name].twin.steps == 1
        torch.testing.assert_close(model.tasks[name].twin.backbone.conv1.weight,
                                   momentum * start + (1 - momentum) * first)


def test_each_task_has_its_preprocessor_and_evaluation_the_models():
    model = build_multi_task(tasks=tasks(cells=dict(data_preprocessor=dict(
        type='mmdense.ViewsPreprocessor', mean=(0, 0, 0), std=(1, 1, 1)))))
    white = torch.full((2, 3, 64, 64), 255, dtype=torch.uint8)
    _, views = batches(0, 1)
    made = model.data_preprocessor({name: dict(inputs=[white, white], data_samples=views[name])
                                    for name in ('image', 'cells')}, True)
    plain = model.data_preprocessor(dict(inputs=white))['inputs']
    assert (made['inputs']['cells'][0] == 255).all()
    torch.testing.assert_close(made['inputs']['image'][0], plain)
    assert made['data_samples']['cells'].boxes.shape == views['cells'].boxes.shape
    encoder = FrozenEncoder(model.eval())
    torch.testing.assert_close(encoder(white), model.extract_feat(plain)[-1])


def test_a_weight_of_zero_keeps_zero_gradients():
    model = build_multi_task(tasks=tasks(cells=dict(weight=0)))
    losses = model(*batches(0, 1), mode='loss')
    sum(losses.values()).backward()
    grads = {n: p.grad for n, p in model.named_parameters() if p.requires_grad}
    assert all(grad is not None for grad in grads.values())
    assert all((grad == 0).all() for n, grad in grads.items() if n.startswith('tasks.cells'))
    assert (grads['backbone.conv1.weight'] != 0).any()


@pytest.mark.situation('settings', 'a task without data, or data without a task', 'error',
                       'names both, and where the two lists of names are')
@pytest.mark.parametrize('given, told', [
    (['image'], r"tasks without data: \['cells'\], data without a task: none"),
    (['image', 'cells', 'more'], r"without data: none, data without a task: \['more'\]")])
def test_tasks_and_data_are_the_same(given, told):
    model, (inputs, views) = build_multi_task(), batches(0, 1)
    with pytest.raises(ValueError, match=told):
        model.data_preprocessor({name: dict(inputs=inputs['image'], data_samples=views['image'])
                                 for name in given}, True)
    with pytest.raises(ValueError, match=told):
        model(dict.fromkeys(given, inputs['image']), dict.fromkeys(given, views['image']), 'loss')


def test_each_task_is_given_as_many_views_as_it_takes():
    model, (inputs, views) = build_multi_task(), batches(0, 1)
    inputs['cells'] = inputs['cells'][:1]
    with pytest.raises(ValueError, match=r'DenseCL got 1 view\(s\) of an image; expected 2'):
        model(inputs, views, 'loss')


@pytest.mark.situation('settings', 'a task with a backbone of its own, a negative weight, a name '
                       'with "loss" in it, no task', 'error', 'names the setting')
@pytest.mark.parametrize('changed, told', [
    (tasks(image=dict(backbone=BACKBONE)), r'tasks\.image\.backbone: a task has no backbone'),
    (tasks(image=dict(weight=-1)), r'tasks\.image\.weight=-1: expected a number >= 0'),
    (tasks(image=dict(weight=float('nan'))), r'tasks\.image\.weight=nan'),
    (dict(my_loss=tasks()['image']), r'tasks\.my_loss: expected a Python name'),
    (dict(keys=tasks()['image']), r'tasks\.keys: expected a Python name'),
    (dict(), 'tasks is empty')])
def test_bad_tasks_are_told(changed, told):
    with pytest.raises(ValueError, match=told):
        build_multi_task(tasks=changed)


def test_a_task_that_is_no_method_is_told():
    with pytest.raises(TypeError, match=r"tasks\.image\.type='ResNet' is no method of MMD"):
        build_multi_task(tasks=dict(image=dict(type='ResNet', depth=18)))


@pytest.mark.situation('settings', 'two tasks of one name', 'error',
                       'Python refuses the config: keyword argument repeated')
def test_two_tasks_of_one_name_are_no_config():
    with pytest.raises(SyntaxError, match='keyword argument repeated: image'):
        compile("tasks = dict(image=dict(type='mmdense.MoCo'), image=dict())", 'config.py', 'exec')


@pytest.mark.situation('processes', 'compile=True with several tasks', 'works',
                       'one graph, the same losses; both twins follow')
def test_the_losses_are_one_graph():
    """Twins follow before the graph, from the first step on."""
    torch._dynamo.reset()
    model, data = build_multi_task(), batches(0, 1)
    with torch.no_grad():
        model.backbone.conv1.weight.add_(0.1)           # the twins take it over in the first step
    other = copy.deepcopy(model)
    other.forward = torch.compile(other.forward, backend='aot_eager', fullgraph=True)
    for expected, found in zip(*([net(*data, mode='loss') for _ in range(2)]
                                 for net in (model, other)), strict=True):
        assert {name: loss.item() for name, loss in expected.items()} == pytest.approx(
            {name: loss.item() for name, loss in found.items()}, rel=1e-5)
    torch._dynamo.reset()
