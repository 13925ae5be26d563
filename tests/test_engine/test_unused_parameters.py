"""Parameters that the loss does not reach: named after the first step, found on several processes.
"""
from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from jobs.processes import run_processes
from jobs.unused import unused_job
from references import tiny
from references.known_backbones import KNOWN
from torch import nn

from mmdense.engine import unused_parameters
from mmdense.engine.unused_parameters import (
    UnusedParametersHook,
    describe_unused,
    reached_parameters,
)

SMALL = {known.name: known for known in KNOWN}
PREPROCESSOR = dict(type='mmdense.ViewsPreprocessor')


def method_on(name: str, out_index: int, channels: int) -> nn.Module:
    head = dict(type='mmdense.Projector', in_channels=channels, hidden_channels=8, out_channels=8)
    return tiny.build(backbone=SMALL[name].cfg, projector=head, dense_projector=head,
                      out_index=out_index, data_preprocessor=PREPROCESSOR)


def step(method: nn.Module) -> None:
    method.train()
    images = [torch.randn(4, 3, 64, 64) for _ in range(2)]
    sum(method.loss(images, tiny.views_of(torch.arange(4))).values()).backward()
    method.zero_grad()


@pytest.mark.situation('backbones', 'a network of several branches (BiSeNetV2, PIDNet, BiSeNetV1) '
                       'is pretrained on its last map, an auxiliary one', 'warning',
                       'after the first step a line names the parts without gradient, their share '
                       'and `model.out_index`; `tools/check.py` too')
@pytest.mark.parametrize('name, channels, part', [
    ('BiSeNetV2', 16, 'detail'), ('PIDNet', 16, 'i_branch_layers'), ('BiSeNetV1', 128, 'ffm')])
def test_branches_without_gradient_are_named_after_the_first_step(monkeypatch, name, channels,
                                                                  part):
    said = []
    monkeypatch.setattr(unused_parameters, 'print_log',
                        lambda text, *_, level: said.append((level, text)))
    method = method_on(name, -1, channels)
    hook, runner = UnusedParametersHook(), SimpleNamespace(model=method)
    hook.before_train(runner)
    for iteration in range(2):
        step(method)
        hook.after_train_iter(runner, iteration)
    (level, text), = said
    share = float(text.split('%')[0])
    assert part in text and f"{name}'s parameters get no gradient" in text and share > 2
    assert level == 30 and 'map -1 is trained; model.out_index' in text


def test_the_map_that_reaches_all_says_nothing_is_left():
    method = method_on('BiSeNetV2', 0, 16)
    with reached_parameters(method) as reached:
        step(method)
    assert describe_unused(method, reached) == (0, 'all of BiSeNetV2 is trained (map 0)')
    assert not any(p._post_accumulate_grad_hooks for p in method.parameters())


def test_frozen_parameters_are_not_missed():
    method = tiny.build()
    method.backbone.layer1.requires_grad_(False)
    with reached_parameters(method) as reached:
        step(method)
    assert describe_unused(method, reached)[0] == 0


@pytest.fixture(scope='module')
def outcomes() -> list[dict]:
    return run_processes(unused_job)


@pytest.mark.situation('processes', 'parameters get no gradient on two processes (HRNet, Swin, '
                       'ConvNeXt: norms and fusions of maps that are not used)', 'works',
                       'they are found at the first step and said; torch would end the run at the '
                       'second')
@pytest.mark.parametrize('case', ['all', 'never', 'on one process', 'accumulated'])
def test_several_processes_find_what_the_loss_does_not_reach(outcomes, case):
    for found in outcomes:
        (switched, weights), (_, told) = found[case], found[f'{case}, told']
        assert switched == (case != 'all')
        for name, value in weights.items():
            # gradients of two steps are averaged before or after they are added
            torch.testing.assert_close(value, told[name], rtol=1e-6, atol=1e-7)
            assert torch.equal(value, outcomes[0][case][1][name])


def test_an_hrnet_is_pretrained_on_two_processes(outcomes):
    (first, total, told), (_, other, _) = (found['hrnet'] for found in outcomes)
    assert first is True and total == other
    assert 'get no gradient (backbone.stage4.' in told and 'find_unused_parameters=True' in told


def test_what_the_loss_leaves_later_is_told(outcomes):
    for found in outcomes:
        assert 'a later one did not' in found['later'][0]
