"""Weights are found, loaded, and still there when the model is ready, for every backbone."""
from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from mmengine.model import BaseModel
from mmengine.registry import DefaultScope
from mmengine.runner import load_checkpoint
from mmpretrain.registry import MODELS as PRETRAIN
from mmseg.registry import MODELS
from mmseg.utils import register_all_modules as register_mmseg
from torch import nn

from mmdense.checkpoints import PretrainedBackbone, initializer

register_mmseg(init_default_scope=False)

R18 = dict(type='ResNet', depth=18, base_channels=8, stem_channels=8)
PRETRAIN_R18 = dict(type='mmpretrain.ResNet', depth=18, base_channels=8, stem_channels=8)
SWIN = dict(patch_size=4, window_size=2)
BACKBONES = {
    'mmseg ResNet': R18,
    'mmseg ResNet-50': dict(R18, depth=50),
    'mmseg ResNetV1c': dict(R18, type='ResNetV1c'),
    'mmseg ResNetV1d': dict(R18, type='ResNetV1d'),
    'mmseg ViT': dict(type='VisionTransformer', img_size=(16, 16), patch_size=4, embed_dims=8,
                      num_layers=2, num_heads=2, out_indices=(1,)),
    'mmseg MiT': dict(type='MixVisionTransformer', embed_dims=4, num_layers=[1, 1, 1, 1],
                      num_heads=[1, 1, 1, 1]),
    'mmseg Swin': dict(type='SwinTransformer', embed_dims=4, depths=(1, 1, 1, 1),
                       num_heads=(1, 1, 1, 1), use_abs_pos_embed=True, pretrain_img_size=16,
                       **SWIN),
    'mmseg BEiT': dict(type='BEiT', img_size=(16, 16), patch_size=4, embed_dims=8, num_layers=1,
                       num_heads=2, out_indices=(0,)),
    'mmseg timm': dict(type='TIMMBackbone', model_name='resnet10t'),
    'mmpretrain ResNet': PRETRAIN_R18,
    'mmpretrain ResNetV1c': dict(PRETRAIN_R18, type='mmpretrain.ResNetV1c'),
    'mmpretrain ViT': dict(
        type='mmpretrain.VisionTransformer', img_size=16, patch_size=4, out_type='featmap',
        arch=dict(embed_dims=8, num_layers=2, num_heads=2, feedforward_channels=16)),
    'mmpretrain Swin': dict(
        type='mmpretrain.SwinTransformer', img_size=16, use_abs_pos_embed=True,
        arch=dict(embed_dims=4, depths=[1, 1], num_heads=[1, 1]), out_indices=(1,), **SWIN),
    'mmpretrain timm ViT': dict(
        type='mmpretrain.TIMMBackbone', model_name='vit_tiny_patch16_224', img_size=32, depth=2,
        embed_dim=12, global_pool=''),
}


def build(cfg: dict, **kwargs) -> nn.Module:
    with DefaultScope.overwrite_default_scope('mmseg'):
        return MODELS.build({**copy.deepcopy(cfg), **kwargs})


def random_like(module: nn.Module) -> dict[str, torch.Tensor]:
    """A state dict for ``module`` that no initialisation gives."""
    generator = torch.Generator().manual_seed(7)
    return {name: torch.rand(value.shape, generator=generator) + 3 if value.is_floating_point()
            else value.clone() for name, value in module.state_dict().items()}


def weights(cfg: dict, path: Path, prefix: str = '', **others) -> dict[str, torch.Tensor]:
    """Save random weights for a backbone, return them by the backbone's names."""
    if 'TIMM' in cfg['type']:
        cfg = dict(cfg, pretrained=False)
    state = random_like(build(cfg))
    torch.save(dict(state_dict={**{prefix + n: t for n, t in state.items()}, **others}), path)
    return state


def from_file(path: Path, **kwargs) -> dict:
    return dict(type='mmdense.PretrainedBackbone', checkpoint=str(path), **kwargs)


def assert_loaded(module: nn.Module, state: dict[str, torch.Tensor]) -> None:
    own = module.state_dict()
    assert own.keys() == state.keys()
    wrong = [name for name, value in state.items() if not torch.equal(own[name], value)]
    assert not wrong


@pytest.mark.parametrize('name', BACKBONES)
def test_alone(tmp_path, name):
    state = weights(BACKBONES[name], tmp_path / 'a.pth', 'backbone.')
    module = build(BACKBONES[name], init_cfg=from_file(tmp_path / 'a.pth'))
    module.init_weights()
    assert_loaded(module, state)


def segmentor(backbone: dict, channels: int) -> nn.Module:
    return build(dict(
        type='EncoderDecoder', backbone=backbone, decode_head=dict(
            type='FCNHead', in_channels=channels, channels=4, in_index=-1, num_classes=3,
            num_convs=1)))


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
def test_in_a_method_of_ours(tmp_path, name):
    """Copied into a twin before it is loaded, as the momentum methods do."""
    from mmdense.models.selfsup.base import DenseSSL
    state = weights(BACKBONES[name], tmp_path / 'a.pth')
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = DenseSSL(dict(BACKBONES[name], init_cfg=from_file(tmp_path / 'a.pth')),
                         data_preprocessor=dict(type='mmseg.SegDataPreProcessor'))
    model.twin = nn.ModuleDict(dict(backbone=copy.deepcopy(model.backbone)))
    before = copy.deepcopy(model.twin.state_dict())
    model.init_weights()
    assert_loaded(model.backbone, state)
    assert_loaded(model.twin, before)  # the copy's loader does not reach its own or the original


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


@pytest.fixture
def printed(monkeypatch) -> list[str]:
    """What the initialiser prints."""
    lines: list[str] = []
    monkeypatch.setattr(initializer, 'print_log', lambda text, *args, **kw: lines.append(text))
    return lines


def test_none_says_so(printed):
    build(R18, init_cfg=dict(type='mmdense.PretrainedBackbone', checkpoint=None)).init_weights()
    assert printed == ['ResNet: random weights (init_cfg.checkpoint=None)']


def test_the_report_is_printed(tmp_path, printed):
    state = weights(R18, tmp_path / 'a.pth', 'backbone.')
    build(R18, init_cfg=from_file(tmp_path / 'a.pth')).init_weights()
    total = sum(t.is_floating_point() for t in state.values())
    assert printed == [f'weights of the backbone: {tmp_path}/a.pth fills {total} of {total} '
                       "tensors (100.0 %) of ResNet\n  found:          in 'state_dict' under "
                       "'backbone.'"]


def test_less_than_all_raises_unless_told_otherwise(tmp_path):
    state = weights(dict(R18, type='ResNetV1c'), tmp_path / 'a.pth')
    module = build(R18, init_cfg=from_file(tmp_path / 'a.pth'))
    with pytest.raises(ValueError, match=r"95 of 100 tensors \(95.0 %\) of ResNet; .*"
                                         r"backbone.type='ResNetV1c'.*strict=False"):
        module.init_weights()
    module = build(R18, init_cfg=from_file(tmp_path / 'a.pth', strict=False))
    module.init_weights()
    assert torch.equal(module.layer1[0].conv1.weight, state['layer1.0.conv1.weight'])
    assert module.conv1.weight.max() < 3 and module.bn1.weight.eq(1).all()  # stem: default


def test_another_depth_raises_also_where_all_names_are_there(tmp_path):
    weights(dict(R18, depth=34), tmp_path / 'a.pth')
    with pytest.raises(ValueError, match='100 of 100 .*seems to be of depth 34, the model is of '
                                         'depth 18: set backbone.depth=34'):
        build(R18, init_cfg=from_file(tmp_path / 'a.pth')).init_weights()
    build(R18, init_cfg=from_file(tmp_path / 'a.pth', strict=False)).init_weights()


def test_prefix_takes_that_part(tmp_path):
    first, second = (random_like(build(R18)) for _ in range(2))
    second = {name: value + 1 for name, value in second.items()}
    torch.save(dict(state_dict={**{f'backbone.{n}': t for n, t in first.items()},
                                **{f'twin.backbone.{n}': t for n, t in second.items()}}),
               tmp_path / 'a.pth')
    for prefix, state in ((None, first), ('twin.backbone', second), ('backbone.', first)):
        module = build(R18, init_cfg=from_file(tmp_path / 'a.pth', prefix=prefix))
        module.init_weights()
        assert_loaded(module, state)


def test_half_precision_weights_are_cast(tmp_path):
    state = {n: t.half() if t.is_floating_point() else t
             for n, t in random_like(build(R18)).items()}
    torch.save(state, tmp_path / 'a.pth')
    module = build(R18, init_cfg=from_file(tmp_path / 'a.pth'))
    module.init_weights()
    assert module.conv1.weight.dtype == torch.float32
    assert torch.equal(module.conv1.weight, state['conv1.weight'].float())


def test_pretrained_beside_it_is_an_error(tmp_path):
    weights(R18, tmp_path / 'a.pth')
    with pytest.raises(ValueError, match='set pretrained=None'):
        build(R18, pretrained='open-mmlab://resnet50', init_cfg=from_file(tmp_path / 'a.pth'))


def test_other_init_cfgs_beside_it_stay(tmp_path):
    state = weights(R18, tmp_path / 'a.pth')
    del state['conv1.weight']
    torch.save(state, tmp_path / 'a.pth')
    module = build(R18, init_cfg=[from_file(tmp_path / 'a.pth', strict=False),
                                  dict(type='Constant', val=5.0, layer='Conv2d')])
    module.init_weights()
    assert module.conv1.weight.eq(5).all()
    assert torch.equal(module.layer1[0].conv1.weight, state['layer1.0.conv1.weight'])


def test_built_model_can_be_copied_and_pickled(tmp_path):
    state = weights(R18, tmp_path / 'a.pth')
    module = build(R18, init_cfg=from_file(tmp_path / 'a.pth'))
    twin = copy.deepcopy(module)
    twin.init_weights()
    assert_loaded(twin, state)
    assert not torch.equal(module.conv1.weight, twin.conv1.weight)
    torch.save(module, tmp_path / 'module.pt')


def test_missing_and_broken_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='looked for'):
        build(R18, init_cfg=from_file(tmp_path / 'no.pth')).init_weights()
    (tmp_path / 'text.pth').write_text('not weights')
    with pytest.raises(ValueError, match='text.pth is not a checkpoint'):
        build(R18, init_cfg=from_file(tmp_path / 'text.pth')).init_weights()


class Method(BaseModel):
    """What a pretraining run saves: a backbone, a head, a twin."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = build(R18)
        self.projector = nn.Linear(4, 4)
        self.twin = nn.ModuleDict(dict(backbone=build(R18)))

    def forward(self, *args, **kwargs):
        raise NotImplementedError


@pytest.mark.parametrize('name', ['mmseg ResNet', 'mmpretrain ResNet', 'mmseg Swin',
                                  'mmpretrain ViT'])
def test_stock_pretrained_with_prefix_reads_our_checkpoints(tmp_path, name):
    state = weights(BACKBONES[name], tmp_path / 'a.pth', 'backbone.',
                    **{'twin.backbone.conv1.weight': torch.zeros(1), 'twin.steps': torch.ones(1)})
    cfg = dict(BACKBONES[name])
    if name == 'mmseg Swin':  # expects another layout of it
        cfg['use_abs_pos_embed'] = False
        state.pop('absolute_pos_embed')
        torch.save({f'backbone.{n}': t for n, t in state.items()}, tmp_path / 'a.pth')
    model = segmentor(dict(cfg, init_cfg=dict(
        type='Pretrained', checkpoint=str(tmp_path / 'a.pth'), prefix='backbone.')), 8)
    model.init_weights()
    assert_loaded(model.backbone, state)


def test_a_method_checkpoint_meets_every_user(tmp_path):
    """One file of a method: ours, stock Pretrained and load_from fill the same backbone."""
    method = Method()
    method.load_state_dict(random_like(method))
    with torch.no_grad():
        method.twin.backbone.conv1.weight.add_(1)
    torch.save(dict(state_dict=method.state_dict(), meta={}), tmp_path / 'a.pth')
    for init_cfg in (from_file(tmp_path / 'a.pth'),
                     dict(type='Pretrained', checkpoint=str(tmp_path / 'a.pth'),
                          prefix='backbone.')):
        model = segmentor(dict(R18, init_cfg=init_cfg), 64)
        model.init_weights()
        assert_loaded(model.backbone, method.backbone.state_dict())
    model = segmentor(R18, 64)
    load_checkpoint(model, str(tmp_path / 'a.pth'))
    assert_loaded(model.backbone, method.backbone.state_dict())


def test_whole_network_methods_have_the_class_registered():
    from mmengine.registry import WEIGHT_INITIALIZERS
    assert WEIGHT_INITIALIZERS.get('mmdense.PretrainedBackbone') is PretrainedBackbone
