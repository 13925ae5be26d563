"""Weights are found, loaded, and still there when the model is ready, for every backbone."""
from __future__ import annotations

import copy

import pytest
import torch
from mmengine.registry import MODELS as ROOT
from mmengine.registry import DefaultScope, Registry
from mmpretrain.registry import MODELS as PRETRAIN
from mmseg.registry import MODELS
from references.backbones import (
    BACKBONES,
    assert_loaded,
    build,
    from_file,
    segmentor,
    weights,
)

from mmdense.registry import MODELS as DENSE


@pytest.mark.parametrize('name', BACKBONES)
def test_alone(tmp_path, name):
    state = weights(BACKBONES[name], tmp_path / 'a.pth', 'backbone.')
    module = build(BACKBONES[name], init_cfg=from_file(tmp_path / 'a.pth'))
    module.init_weights()
    assert_loaded(module, state)


@pytest.mark.parametrize('make', [
    lambda cfg: MODELS.build([cfg])[0],
    lambda cfg: MODELS.build(cfg, default_args=dict(norm_eval=True)),
    lambda cfg: Registry('model', parent=ROOT, scope='later').build(
        dict(cfg, type=f'mmseg.{cfg["type"]}'))],
    ids=['list', 'default arguments', 'a registry made later'])
def test_by_every_way_of_the_registry(tmp_path, make):
    name = 'mmseg ResNet'
    state = weights(BACKBONES[name], tmp_path / 'a.pth', 'backbone.')
    with DefaultScope.overwrite_default_scope('mmseg'):
        module = make(dict(BACKBONES[name], init_cfg=from_file(tmp_path / 'a.pth')))
    module.init_weights()
    assert_loaded(module, state)


@pytest.mark.parametrize('name', BACKBONES)
def test_in_a_segmentor(tmp_path, name):
    state = weights(BACKBONES[name], tmp_path / 'a.pth')
    model = segmentor(dict(BACKBONES[name], init_cfg=from_file(tmp_path / 'a.pth')), 8)
    model.init_weights()
    assert_loaded(model.backbone, state)


@pytest.mark.parametrize('name', BACKBONES)
@pytest.mark.parametrize('method', ['MoCo', 'SimSiam'])
def test_in_a_method_of_mmpretrain(tmp_path, name, method):
    state = weights(BACKBONES[name], tmp_path / 'a.pth')
    backbone = dict(BACKBONES[name], init_cfg=from_file(tmp_path / 'a.pth'))
    if not backbone['type'].startswith('mmpretrain.'):
        backbone['type'] = 'mmseg.' + backbone['type']
    neck = dict(type='MoCoV2Neck', in_channels=8, hid_channels=4, out_channels=4)
    cfg = dict(type='MoCo', queue_len=8, feat_dim=4, momentum=0.01) if method == 'MoCo' else dict(
        type='SimSiam')
    head = dict(type='ContrastiveHead', loss=dict(type='CrossEntropyLoss'))
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = PRETRAIN.build(dict(cfg, backbone=backbone, neck=neck, head=head))
    model.init_weights()
    assert_loaded(model.backbone, state)


@pytest.mark.parametrize('name', BACKBONES)
def test_in_densecl(tmp_path, name):
    """Copied into a twin before it is loaded; the twin takes it over when training starts."""
    state = weights(BACKBONES[name], tmp_path / 'a.pth')
    head = dict(type='mmdense.Projector', in_channels=8, hidden_channels=4, out_channels=4)
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = DENSE.build(dict(
            type='mmdense.DenseCL', projector=head, dense_projector=head, queue=dict(size=4),
            backbone=dict(BACKBONES[name], init_cfg=from_file(tmp_path / 'a.pth')), twin={},
            loss=dict(type='mmdense.InfoNCE'), matcher=dict(type='mmdense.SimilarityMatcher')))
    before = copy.deepcopy(model.twin.backbone.state_dict())
    model.init_weights()
    assert_loaded(model.backbone, state)
    assert_loaded(model.twin.backbone, before)
    model.twin.follow()
    assert_loaded(model.twin.backbone, state)


@pytest.mark.parametrize('name', [n for n in BACKBONES if 'timm' not in n])
def test_without_a_registry(tmp_path, name):
    """Constructed by its class, where only mmengine's own protocol can help."""
    cfg = dict(BACKBONES[name])
    registry = PRETRAIN if name.startswith('mmpretrain') else MODELS
    cls = registry.get(cfg.pop('type').removeprefix('mmpretrain.'))
    state = weights(BACKBONES[name], tmp_path / 'a.pth')
    if name == 'mmseg Swin':  # reads init_cfg['checkpoint'] itself, in its own layout
        cfg['use_abs_pos_embed'] = False
        state.pop('absolute_pos_embed')
        torch.save(state, tmp_path / 'a.pth')
    module = cls(**cfg, init_cfg=from_file(tmp_path / 'a.pth'))
    module.init_weights()
    assert_loaded(module, state)


@pytest.mark.parametrize('name', BACKBONES)
def test_none_is_the_default_initialisation(name):
    """With checkpoint=None the same seed gives the weights of a config without init_cfg."""
    extra = dict(pretrained=False) if 'timm' in name else {}
    states = []
    for init_cfg in ({}, dict(init_cfg=dict(type='mmdense.PretrainedBackbone', checkpoint=None))):
        torch.manual_seed(3)
        model = segmentor(dict(BACKBONES[name], **extra, **init_cfg), 8)
        model.init_weights()
        states.append(model.state_dict())
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_none_without_a_registry_is_the_transformers_default():
    from mmseg.models.backbones import MixVisionTransformer
    cfg = {k: v for k, v in BACKBONES['mmseg MiT'].items() if k != 'type'}
    states = []
    for init_cfg in (None, dict(type='mmdense.PretrainedBackbone', checkpoint=None)):
        torch.manual_seed(3)
        module = MixVisionTransformer(**cfg, init_cfg=init_cfg)
        module.init_weights()
        states.append(module.state_dict())
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
