"""What pulls a network back to its start: values, what is remembered, resuming."""
from __future__ import annotations

import copy

import pytest
import torch
from references.tiny import (
    BACKBONE,
    build,
    build_detcon,
    build_moco,
    build_multi_task,
    multi_task_config,
    region_views,
    views_of,
)

from mmdense.models.losses import gram_loss
from mmdense.models.starting import start_anew

L2SP = dict(type='mmdense.L2SP', weight=0.3)
ANCHOR = dict(type='mmdense.FeatureAnchor', loss=dict(type='mmdense.GramLoss'), weight=2.0)
BOTH = dict(start=L2SP, anchor=ANCHOR)


def images(count=2, seed=0):
    torch.manual_seed(seed)
    return [torch.randn(4, 3, 64, 64) for _ in range(count)]


def moved(model, seed=1):
    """Move all parameters of the backbone, as a step would; return by how much, squared."""
    torch.manual_seed(seed)
    total = 0.0
    with torch.no_grad():
        for p in model.backbone.parameters():
            step = 0.01 * torch.randn_like(p)
            p += step
            total += step.double().square().sum().item()
    return total


@pytest.mark.parametrize('make', [build_moco, build])
def test_values_after_a_move(make):
    model, views = make(penalties=BOTH), views_of(torch.arange(4))
    model.train()
    first = model(images(), views, 'loss')
    assert first['loss_start'] == 0
    start = copy.deepcopy(model.backbone)
    squared = moved(model)
    # BatchNorm of the trained network normalises by the batch; the start by what it had seen
    frozen = model.penalties['anchor'].frozen['backbone']
    assert not frozen.training and all(not p.requires_grad for p in frozen.parameters())
    losses = model(images(), views, 'loss')
    assert losses['loss_start'].item() == pytest.approx(0.3 / 2 * squared, rel=1e-4)
    for own, kept in zip(start.parameters(), frozen.parameters(), strict=True):
        assert torch.equal(own, kept)
    model.backbone.train()
    expected = 2.0 * gram_loss(model.backbone(images()[0])[-1], frozen(images()[0])[-1])
    assert losses['loss_anchor'].item() == pytest.approx(expected.item(), rel=1e-4)
    (losses['loss_start'] + losses['loss_anchor']).backward()
    assert all(p.grad is not None for p in model.backbone.parameters())
    assert all(p.grad is None for p in model.penalties.parameters())


def test_the_start_is_what_was_loaded_before_the_first_step():
    other = build_moco()
    model = build_moco(penalties=BOTH)
    model.backbone.load_state_dict(other.backbone.state_dict())
    model.train()(images(), views_of(torch.arange(4)), 'loss')
    for name, p in model.penalties['anchor'].frozen['backbone'].named_parameters():
        assert torch.equal(p, other.backbone.get_parameter(name))
    assert all(torch.equal(kept, other.backbone.get_parameter(name)) for kept, name in zip(
        model.penalties['start'].starts, model.penalties['start'].names, strict=True))


def test_a_resumed_run_keeps_its_start_and_a_new_one_takes_the_loaded():
    views = views_of(torch.arange(4))
    model = build_moco(penalties=BOTH).train()
    model(images(), views, 'loss')
    moved(model)
    saved = copy.deepcopy(model.state_dict())
    expected = model(images(), views, 'loss')
    resumed = build_moco(penalties=BOTH).train()
    resumed.load_state_dict(saved)
    found = resumed(images(), views, 'loss')
    for name in ('loss_start', 'loss_anchor'):
        assert found[name] > 0 and torch.equal(found[name], expected[name])
    anew = build_moco(penalties=BOTH).train()
    anew.load_state_dict(saved)
    start_anew(anew)
    assert anew(images(), views, 'loss')['loss_start'] == 0


def test_every_method_takes_them_and_a_task_of_several():
    model = build_detcon('S', penalties=BOTH).train()
    losses = model(images(), region_views(4), 'loss')
    assert {'loss_region', 'loss_start', 'loss_anchor'} <= set(losses)
    tasks = multi_task_config()['tasks']
    tasks['cells']['penalties'] = BOTH
    model, views = build_multi_task(tasks=tasks).train(), views_of(torch.arange(4))

    def step():
        return model(dict.fromkeys(tasks, images()), dict.fromkeys(tasks, views), 'loss')
    assert step()['cells.loss_start'] == 0
    assert moved(model) > 0
    assert step()['cells.loss_start'] > 0 and 'image.loss_start' not in step()


def test_the_map_is_that_of_the_cells_and_of_the_decoder():
    head = dict(type='mmdense.Projector', hidden_channels=8, out_channels=16)
    decoder = dict(type='FCNHead', in_channels=64, in_index=-1, channels=12, num_convs=1,
                   norm_cfg=dict(type='BN'))
    for changes, channels in ((dict(cell_index=-2), 32), (dict(decode_head=decoder), 12)):
        model = build(backbone={**BACKBONE, 'out_indices': (2, 3)}, penalties=BOTH,
                      projector=head, dense_projector=head, **changes).train()
        shapes = []
        model.penalties['anchor'].criterion.register_forward_hook(
            lambda _, maps, loss, shapes=shapes: shapes.extend(one.shape[1] for one in maps))
        model(images(), views_of(torch.arange(4)), 'loss')
        assert shapes == [channels] * 2


@pytest.mark.parametrize('weight', [0, -1, float('nan')])
def test_a_weight_that_does_nothing_is_refused(weight):
    with pytest.raises(ValueError, match=r'L2SP\(weight=.*expected a number above 0'):
        build_moco(penalties=dict(start=dict(L2SP, weight=weight)))


def test_frozen_stages_are_not_remembered():
    model = build_moco(penalties=dict(start=L2SP), backbone={**BACKBONE, 'frozen_stages': 1})
    assert model.penalties['start'].names
    assert not [name for name in model.penalties['start'].names if name.startswith('layer1')]
