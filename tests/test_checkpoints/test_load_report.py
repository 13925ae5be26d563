"""The report counts right, and says what to change."""
from __future__ import annotations

import pytest
import torch
from mmpretrain.models import VisionTransformer
from mmseg.models.backbones import ResNet, ResNetV1c, ResNetV1d
from torch import nn

from mmdense.checkpoints.load_report import examine

NARROW = dict(base_channels=4, stem_channels=4)


def report(module: nn.Module, state: dict, **kwargs):
    return examine(module, state, 'net.pth', **kwargs)


def test_all_matched():
    module = ResNet(18, **NARROW)
    # 20 convolutions, and 20 batch norms with weight, bias, mean and variance
    state = {**module.state_dict(), 'fc.weight': torch.zeros(2, 2), 'fc.bias': torch.zeros(2)}
    got, tensors = report(module, state)
    assert (len(got.matched), got.total, got.coverage) == (100, 100, 1.0) and got.complete
    assert got.missing == got.mismatched == got.unexpected == got.hints == []
    assert got.left_over == ['fc.weight', 'fc.bias']
    assert tensors.keys() == module.state_dict().keys()  # with the counters
    assert str(got) == ('weights of the backbone: net.pth fills 100 of 100 tensors (100.0 %) of '
                        'ResNet\n  found:          without prefix\n  left over:      fc (2)')


def test_counters_are_not_counted():
    module = ResNet(18, **NARROW)
    state = {n: t for n, t in module.state_dict().items() if 'num_batches' not in n}
    got, tensors = report(module, state)
    assert got.coverage == 1 and len(tensors) == 100


def test_every_kind_of_difference_is_listed():
    module = ResNet(18, **NARROW)
    state = {f'backbone.{n}': t for n, t in module.state_dict().items()}
    del state['backbone.bn1.weight'], state['backbone.bn1.bias']
    state['backbone.layer1.0.bn1.weight'] = torch.zeros(7)
    state['backbone.extra.weight'] = torch.zeros(1)
    state['decode_head.conv_seg.weight'] = torch.zeros(1)
    got, tensors = report(module, dict(state_dict=state))
    assert got.missing == ['bn1.weight', 'bn1.bias']
    assert got.mismatched == [('layer1.0.bn1.weight', (7,), (4,))]
    assert got.unexpected == ['extra.weight']
    assert got.left_over == ['decode_head.conv_seg.weight']
    assert got.coverage == 0.97 and 'layer1.0.bn1.weight' not in tensors
    lines = str(got).splitlines()
    assert lines[0].endswith('fills 97 of 100 tensors (97.0 %) of ResNet')
    assert lines[1:] == ["  found:          in 'state_dict' under 'backbone.'",
                         '  missing:        bn1.weight, bn1.bias',
                         '  shape mismatch: layer1.0.bn1.weight [7] in the file, [4] in the model',
                         '  unexpected:     extra.weight', '  left over:      decode_head (1)']


def test_almost_all_is_not_rounded_to_all():
    module = nn.ModuleList(nn.Linear(1, 1) for _ in range(2000))
    state = module.state_dict()
    del state['7.bias']
    assert '3999 of 4000 tensors (99.9 %)' in report(module, state)[0].headline()


@pytest.mark.parametrize('model, file', [(ResNetV1c, ResNet), (ResNet, ResNetV1c),
                                         (ResNetV1d, ResNet), (ResNetV1c, ResNetV1d),
                                         (ResNet, ResNetV1d), (ResNetV1d, ResNetV1c)])
@pytest.mark.parametrize('depth', [18, 50])
def test_another_stem(model, file, depth):
    got, _ = report(model(depth=depth, **NARROW), file(depth=depth, **NARROW).state_dict())
    assert got.coverage < 1
    assert len(got.hints) == 1 and f"set backbone.type='{file.__name__}'" in got.hints[0]


def test_plain_resnet_meets_v1c_as_the_issue_says():
    got, _ = report(ResNetV1c(depth=18, **NARROW), ResNet(18, **NARROW).state_dict())
    assert len(got.matched) == 95 and got.total == 110
    assert all(name.startswith('stem.') for name in got.missing)
    assert got.unexpected[0] == 'conv1.weight'


@pytest.mark.parametrize('model, file', [(18, 34), (18, 50), (50, 18), (50, 101), (34, 50)])
def test_another_depth(model, file):
    got, _ = report(ResNet(model, **NARROW), ResNet(file, **NARROW).state_dict())
    # all of a shallow network is in a deeper one's file, and yet it is not that network
    assert not got.complete and len(got.hints) == 1
    assert f'seems to be of depth {file}' in got.hints[0]
    assert f'the model is of depth {model}: set backbone.depth={file}' in got.hints[0]


def test_a_model_of_fewer_stages_needs_no_hint():
    small = ResNet(18, num_stages=2, strides=(1, 2), dilations=(1, 1), out_indices=(1,), **NARROW)
    got, _ = report(small, ResNet(18, **NARROW).state_dict())
    assert got.complete and not got.hints
    assert got.unexpected and all(n.startswith('layer') for n in got.unexpected)


def test_other_channels():
    got, _ = report(ResNet(18, in_channels=4, **NARROW), ResNet(18, **NARROW).state_dict())
    assert got.hints == ["the first convolution ('conv1.weight') takes 3 image channels in the "
                         'file and 4 in the model: set backbone.in_channels=3']
    assert got.mismatched == [('conv1.weight', (4, 3, 7, 7), (4, 4, 7, 7))]


def vit(layers: int, size: int = 16) -> VisionTransformer:
    return VisionTransformer(dict(embed_dims=8, num_layers=layers, num_heads=2,
                                  feedforward_channels=8), img_size=size, patch_size=4)


def test_transformer_of_other_layers():
    got, _ = report(vit(3), vit(2).state_dict())
    assert got.hints == ['the file has 2 transformer layers, the model 3']
    assert report(vit(2), vit(3).state_dict())[0].complete


def test_transformer_of_another_image_size():
    got, _ = report(vit(2, 32), vit(2, 16).state_dict())
    assert got.mismatched == [('pos_embed', (1, 17, 8), (1, 65, 8))] and len(got.hints) == 1
    assert got.hints[0].startswith("'pos_embed' has 17 positions in the file and 65 in the model: "
                                   'set backbone.img_size')
    small = vit(2, 16)  # as the hint says: other images are no obstacle
    assert small(torch.zeros(1, 3, 32, 32))[-1].shape == (1, 8)


def test_no_matching_tensor():
    with pytest.raises(ValueError, match=r'net.pth has no tensor of ResNet: expected names such '
                                         r'as conv1.weight, .* the file has vit.a, vit.b'):
        report(ResNet(18, **NARROW), {'vit.a.x': torch.zeros(1), 'vit.b.x': torch.zeros(1)})
    with pytest.raises(ValueError, match=r"no tensor of ResNet under prefix='twin\.'"):
        report(ResNet(18, **NARROW), ResNet(18, **NARROW).state_dict(), prefix='twin.')
    with pytest.raises(ValueError, match='net.pth holds no named tensors: its keys are epoch'):
        report(ResNet(18, **NARROW), {'epoch': 1})


def test_names_that_fit_with_no_shape_that_does():
    with pytest.raises(ValueError, match='fills 0 of 2 tensors') as caught:
        report(nn.Linear(2, 2), nn.Linear(3, 3, bias=False).state_dict())
    assert '\n' not in str(caught.value)


def test_whole_numbers_where_the_backbone_has_floats_are_refused():
    module = ResNet(18, **NARROW)
    module.register_buffer('table', torch.ones(2))
    state = {**module.state_dict(), 'table': torch.ones(2).long()}
    with pytest.raises(ValueError, match=r'net.pth: 1 of \d+ tensors \(table\) of ResNet are '
                                         'torch.int64 in the file, expected floats'):
        report(module, state)
