"""The initialiser's arguments, its errors, and the checkpoints of a method."""
from __future__ import annotations

import copy

import pytest
import torch
from mmengine.model import BaseModel
from mmengine.runner import load_checkpoint
from references.backbones import (
    BACKBONES,
    R18,
    assert_loaded,
    build,
    from_file,
    random_like,
    segmentor,
    weights,
)
from torch import nn

from mmdense.checkpoints import PretrainedBackbone, initializer


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
