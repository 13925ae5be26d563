"""The backbone's tensors are found in every layout of a checkpoint."""
from __future__ import annotations

import time

import pytest
import timm
import torch
import torchvision
from mmpretrain.models import ResNet as PretrainResNet
from mmseg.models.backbones import ResNet, TIMMBackbone
from torch import nn

from mmdense.checkpoints import find_backbone
from mmdense.checkpoints.layouts import prefixes, spellings
from mmdense.checkpoints.load_report import counted


def marked(state: dict[str, torch.Tensor], value: float) -> dict[str, torch.Tensor]:
    return {n: torch.full_like(t, value) for n, t in state.items()}


def under(prefix: str, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {prefix + n: t for n, t in state.items()}


@pytest.fixture(scope='module')
def target() -> dict[str, torch.Tensor]:
    """Tensors of an mmseg ResNet-18 as narrow as it may be."""
    return ResNet(18, base_channels=4, stem_channels=4).state_dict()


def layouts(net: dict[str, torch.Tensor]) -> dict[str, tuple[dict, str, str]]:
    """A checkpoint, and where the right tensors (ones) are, for each kind of file."""
    right, wrong = marked(net, 1.), marked(net, 2.)
    head = {'fc.weight': torch.zeros(3, 8), 'fc.bias': torch.zeros(3)}
    queue = {'queue': torch.zeros(4, 8), 'queue_ptr': torch.zeros(1)}
    return {
        'plain': ({**right, **head}, '', ''),
        'DenseCL released': (dict(state_dict=right, author='DenseCL'), 'state_dict', ''),
        'ours': (dict(meta={}, message_hub=dict(log={}), state_dict={
            **under('twin.backbone.', wrong), **under('backbone.', right), **queue,
            'twin.steps': torch.zeros(()), 'projector.0.weight': torch.zeros(3, 8)}),
            'state_dict', 'backbone.'),
        'mmpretrain MoCo': (dict(meta={}, state_dict={
            **under('encoder_k.module.0.', wrong), **under('backbone.', right), **queue,
            'neck.fc0.weight': torch.zeros(3, 8)}), 'state_dict', 'backbone.'),
        'mmpretrain BYOL': (dict(state_dict={**under('target_net.module.0.', wrong),
                                             **under('backbone.', right)}),
                            'state_dict', 'backbone.'),
        'OpenSelfSup': (dict(state_dict={
            **under('encoder_k.0.', wrong), **under('backbone.', right),
            **under('encoder_q.0.', right)}),
                        'state_dict', 'backbone.'),
        'MoCo official': (dict(epoch=200, arch='resnet18', optimizer={}, state_dict={
            **under('module.encoder_k.', {**wrong, **head}),
            **under('module.encoder_q.', {**right, **head})}),
            'state_dict', 'module.encoder_q.'),
        'SimSiam official': (dict(state_dict=under('module.encoder.', right)), 'state_dict',
                             'module.encoder.'),
        'SwAV official': (under('module.', {**right, 'prototypes.weight': torch.zeros(3, 8)}),
                          '', 'module.'),
        'InfoMin': (dict(model_ema=under('encoder.', wrong), model=under('module.encoder.', right)),
                    'model', 'module.encoder.'),
        'DINO': (dict(teacher=under('backbone.', wrong), args=None,
                      student=under('module.backbone.', right)), 'student', 'module.backbone.'),
        'teacher alone': (dict(teacher=under('backbone.', right)), 'teacher', 'backbone.'),
        'an unknown wrapper': (dict(weights=under('net.body.', right)), 'weights', 'net.body.'),
        'twin in mmengine EMA': (dict(state_dict=under('backbone.', right),
                                      ema_state_dict=under('module.backbone.', wrong)),
                                 'state_dict', 'backbone.'),
    }


@pytest.mark.parametrize('kind', layouts({'a.b': torch.zeros(1)}))
def test_layout(target, kind):
    checkpoint, container, prefix = layouts(target)[kind]
    found = find_backbone(checkpoint, target)
    assert (found.container, found.prefix) == (container, prefix)
    assert all(found.tensors[name].eq(1).all() for name in target)


@pytest.mark.parametrize('kind', ['ours', 'MoCo official', 'DINO'])
def test_the_other_network_can_be_asked_for(target, kind):
    prefix = {'ours': 'twin.backbone.', 'MoCo official': 'module.encoder_k',
              'DINO': 'teacher.backbone'}[kind]
    found = find_backbone(layouts(target)[kind][0], target, prefix)
    assert all(found.tensors[name].eq(2).all() for name in target)


def test_a_follower_is_taken_when_the_student_does_not_fit(target):
    other = ResNet(18, base_channels=8, stem_channels=8).state_dict()
    found = find_backbone(dict(state_dict={**under('backbone.', other),
                                           **under('twin.backbone.', target)}), target)
    assert found.prefix == 'twin.backbone.'


@pytest.mark.parametrize('depth', [18, 50])
@pytest.mark.parametrize('cls', [ResNet, PretrainResNet])
def test_torchvision_resnet_is_one_to_one(depth, cls):
    torchvisions = getattr(torchvision.models, f'resnet{depth}')().state_dict()
    target = cls(depth).state_dict()
    found = find_backbone(torchvisions, target)
    assert set(target) <= set(found.tensors)
    assert all(found.tensors[n].shape == t.shape for n, t in target.items())


@pytest.mark.parametrize('model, kwargs', [
    ('resnet10t', {}), ('convnext_atto', dict(depths=(1, 1, 1, 1), dims=(4, 8, 8, 8))),
    ('vit_tiny_patch16_224', dict(img_size=32, depth=2, embed_dim=12))])
def test_timms_own_files_fit_its_wrapped_backbones(model, kwargs):
    """Also where features_only flattens ``stages.0`` to ``stages_0`` or wraps once more."""
    plain = timm.create_model(model, **kwargs)
    wrapped = TIMMBackbone(model, pretrained=False, out_indices=(0, 1), **kwargs)
    state = {n: t + 1 for n, t in plain.state_dict().items()}
    for checkpoint in (state, dict(state_dict=under('backbone.', state)),
                       dict(state_dict=under('backbone.', wrapped.state_dict()))):
        target = wrapped.state_dict()
        found = find_backbone(checkpoint, target)
        missing = [n for n in counted(target) if n not in found.tensors]
        assert not missing
        assert all(found.tensors[n].shape == target[n].shape for n in counted(target))


def test_nothing_fits(target):
    assert find_backbone({'a': torch.zeros(1)}, target) is None
    assert find_backbone({'epoch': 1}, target) is None
    assert find_backbone(under('backbone.', target), target, 'twin.backbone.') is None


def test_prefixes_end_at_dots():
    assert prefixes(['xconv.weight', 'a.conv.weight', 'conv.weight'], {'conv.weight': ''}) == [
        'a.', '']


def test_spellings():
    assert spellings(['w.stages_0.a', 'w.b']) == [
        {'w.stages_0.a': 'w.stages_0.a', 'w.b': 'w.b'}, {'stages_0.a': 'w.stages_0.a', 'b': 'w.b'},
        {'stages.0.a': 'w.stages_0.a', 'b': 'w.b'}]


def test_large_files_are_searched_quickly(target):
    """The search looks at each name once: a thousand foreign names do not multiply it."""
    net = nn.ModuleList(nn.BatchNorm2d(1) for _ in range(1000)).state_dict()
    start = time.perf_counter()
    find_backbone(dict(state_dict={**under('backbone.', target), **under('other.', net)}), target)
    assert time.perf_counter() - start < 2
