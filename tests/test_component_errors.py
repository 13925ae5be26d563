"""Components that a config names or fills wrongly: one line instead of a stack of mmengine."""
from __future__ import annotations

import pytest
from mmengine import registry
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from torch import nn

import mmdense  # noqa: F401
from mmdense.errors import user_message

MODEL = dict(type='EncoderDecoder', backbone=dict(type='ResNet', depth=18),
             decode_head=dict(type='FCNHead', in_channels=512, channels=4, num_classes=3))


@registry.MODELS.register_module()
class FaultyModel(nn.Module):
    """Has a bug in its constructor, for every argument."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = [][size]


def said(kind: str, cfg: object, **default_args) -> str | None:
    """Return what a user is told when a registry builds ``cfg``."""
    with DefaultScope.overwrite_default_scope('mmseg'), pytest.raises(Exception) as caught:  # noqa: B017
        getattr(registry, kind).build(cfg, **(dict(default_args=default_args)
                                              if default_args else {}))
    return user_message(caught.value)


@pytest.mark.parametrize('kind, cfg, nearest', [
    pytest.param('TRANSFORMS', dict(type='Resizee'), 'Resize', id='transform',
                 marks=pytest.mark.situation(
                     'settings', 'a component that does not exist, such as Resizee', 'error',
                     'names it, its kind, and the nearest names')),
    ('DATASETS', dict(type='CityscapesDatasets'), 'CityscapesDataset'),
    ('MODELS', dict(MODEL, decode_head=dict(type='FCNHed')), 'FCNHead'),
    ('HOOKS', dict(type='LogerHook'), 'LoggerHook'),
    ('DATASETS', dict(type='BaseSegDataset', pipeline=[dict(type='PackSegInput')]),
     'PackSegInputs'),
    ('MODELS', dict(type='mmpretrain.ResNett'), 'mmpretrain.ResNet')])
def test_an_unknown_stock_name_is_answered_with_the_nearest(kind, cfg, nearest):
    message = said(kind, cfg)
    assert 'is not a registered' in message and '\n' not in message
    assert message.partition('nearest: ')[2].split(', ')[0] == nearest


def test_a_name_like_no_other_is_perhaps_the_users_own():
    assert said('MODELS', dict(type='Qqqqqqq')).endswith(
        'its module is imported by custom_imports, if it is your own')


@pytest.mark.parametrize('kind, cfg, expected', [
    pytest.param('MODELS', dict(type='ResNet', depth=18, dept=3), "ResNet: has no argument 'dept'",
                 id='argument', marks=pytest.mark.situation(
                     'settings', 'an argument that a component does not have', 'error',
                     'names the component and the argument')),
    ('MODELS', dict(MODEL['decode_head'], numm=3), "FCNHead: has no argument 'numm'"),
    ('MODELS', dict(type='FCNHead'), "FCNHead: needs 'in_channels' and 'channels'"),
    ('MODELS', dict(type='mmdense.DenseCL', foo=3), "mmdense.DenseCL: needs 'backbone'"),
    ('TRANSFORMS', dict(type='RandomCrop', size=3), "RandomCrop: has no argument 'size'"),
    ('TRANSFORMS', dict(type='RandomFlip', prob='much'), 'RandomFlip: probs must be float'),
    ('DATASETS', dict(type='BaseSegDataset', foo=1), "BaseSegDataset: has no argument 'foo'"),
    pytest.param('MODELS', dict(type='ResNet', depth=19), 'ResNet: invalid depth 19', id='value',
                 marks=pytest.mark.situation(
                     'settings', 'a value that a component refuses, such as depth=19', 'error',
                     'names the component, and says what it said'))])
def test_wrong_arguments_name_the_component(kind, cfg, expected):
    assert said(kind, cfg).startswith(expected)


def test_arguments_of_loops_and_loaders_are_named(tmp_path):
    assert said('LOOPS', dict(type='IterBasedTrainLoop', max_iter=3), runner=None, dataloader=[]
                ) == "IterBasedTrainLoop: has no argument 'max_iter'"
    loader = dict(dataset=[1], batch_sizes=2, sampler=dict(type='DefaultSampler'))
    with pytest.raises(TypeError) as caught:
        Runner.build_dataloader(loader)
    assert user_message(caught.value) == (
        "a data loader of the config: has no argument 'batch_sizes'")
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        Runner(nn.Identity(), str(tmp_path), train_dataloader=loader)
    assert 'train_dataloader, train_cfg, and optim_wrapper' in user_message(caught.value)


@pytest.mark.parametrize('cfg, expected', [
    (dict(depth=18), 'a model of the config: `cfg` or `default_args` must contain the key "type"'),
    ('ResNet', 'a model of the config: cfg should be a dict'), (dict(type=3), '3: type must be')])
def test_what_is_no_component_is_shown(cfg, expected):
    assert said('MODELS', cfg).startswith(expected)


def test_a_bug_in_a_component_keeps_its_stack():
    assert said('MODELS', dict(type='FaultyModel', size=3)) is None
    with pytest.raises(TypeError) as caught:
        FaultyModel(wrong=3)        # not out of a config
    assert user_message(caught.value) is None
