from __future__ import annotations

import copy

import pytest
import torch
import torchvision
from mmpretrain.models import Res2Net
from mmpretrain.models import ResNet as PretrainResNet
from mmseg.models import ResNet as SegResNet
from mmseg.models import ResNetV1d, VisionTransformer
from torch import nn

from mmdense.evaluation.dilation import dilate, find_stages, stage_strides


def last_map(backbone: nn.Module, images: torch.Tensor) -> torch.Tensor:
    out = []
    handle = find_stages(backbone)[-1].register_forward_hook(lambda _, __, x: out.append(x))
    with torch.no_grad():
        backbone(images)
    handle.remove()
    return out[0]


def randomised(backbone: nn.Module) -> nn.Module:
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -.1, .1)
            nn.init.uniform_(module.weight, 0.5, 1.)
    backbone.eval()                      # mmseg's ResNet returns None here
    return backbone


BACKBONES = {
    'mmseg basic': lambda: SegResNet(18, base_channels=8, norm_cfg=dict(type='BN')),
    'mmseg caffe bottleneck': lambda: SegResNet(50, base_channels=8, norm_cfg=dict(type='BN'),
                                                style='caffe'),
    'mmpretrain bottleneck': lambda: PretrainResNet(50, base_channels=8, stem_channels=8,
                                                    expansion=4),
    'mmpretrain partly dilated': lambda: PretrainResNet(
        18, base_channels=8, stem_channels=8, strides=(1, 2, 2, 1), dilations=(1, 1, 1, 2)),
    'torchvision': lambda: torchvision.models.resnet18(weights=None),
    'torchvision grouped': lambda: torchvision.models.ResNet(
        torchvision.models.resnet.Bottleneck, [1, 1, 2, 2], groups=4, width_per_group=4),
}


@pytest.mark.parametrize('size', [64, 75])
@pytest.mark.parametrize('name', BACKBONES)
def test_every_nth_cell_of_the_finer_map_is_the_old_map(name, size):
    backbone = randomised(BACKBONES[name]())
    copied = copy.deepcopy(backbone)
    dilate(copied, 8)
    images = torch.randn(1, 3, size, size)
    old, new = last_map(backbone, images), last_map(copied, images)
    step = -(-new.shape[-1] // old.shape[-1])
    assert new.shape[-1] == -(-size // 8) and step in (2, 4)
    torch.testing.assert_close(new[..., ::step, ::step], old, atol=1e-4, rtol=1e-4)
    for (key, a), (_, b) in zip(backbone.state_dict().items(), copied.state_dict().items(),
                                strict=True):
        assert torch.equal(a, b), key


@pytest.mark.parametrize('mode', ['reflect', 'replicate', 'circular'])
def test_padding_of_another_mode_is_widened_too(mode):
    backbone = randomised(SegResNet(
        18, base_channels=8, norm_cfg=dict(type='BN'), num_stages=3, strides=(1, 2, 2),
        dilations=(1, 1, 1), out_indices=(2,),
        conv_cfg=dict(type='Conv2d', padding_mode=mode)))
    copied = copy.deepcopy(backbone)
    dilate(copied, 8)
    images = torch.randn(1, 3, 256, 256)
    old, new = last_map(backbone, images), last_map(copied, images)
    assert new.shape[2:] == (32, 32) and old.shape[2:] == (16, 16)
    # a finer map mirrors itself about another line of pixels at its far sides than a coarser one
    torch.testing.assert_close(new[..., 6:-6:2, 6:-6:2], old[..., 3:-3, 3:-3], atol=1e-4,
                               rtol=1e-4)


def test_strides_are_seen_and_chosen():
    backbone = SegResNet(18, base_channels=8, norm_cfg=dict(type='BN'))
    backbone.eval()
    assert stage_strides(backbone, find_stages(backbone)) == [4, 8, 16, 32]
    dilate(backbone, 16)
    assert stage_strides(backbone, find_stages(backbone)) == [4, 8, 16, 16]


def test_averaged_shortcuts_reach_the_stride():
    backbone = ResNetV1d(depth=50, base_channels=8, stem_channels=8, norm_cfg=dict(type='BN'))
    backbone.eval()
    dilate(backbone, 8)
    assert stage_strides(backbone, find_stages(backbone)) == [4, 8, 8, 8]


@pytest.mark.parametrize(('backbone', 'stride'), [
    (lambda: SegResNet(18, base_channels=8, norm_cfg=dict(type='BN')), 2),
    (lambda: Res2Net(depth=50, scales=4, base_width=8), 8)])
def test_out_of_reach_is_one_error(backbone, stride):
    backbone = randomised(backbone())
    with pytest.raises(ValueError, match=f'stride={stride} cannot be reached by dilating'):
        dilate(backbone, stride)


def test_others_have_no_stages():
    assert find_stages(VisionTransformer(img_size=32, embed_dims=16, num_layers=1,
                                         num_heads=2)) == []
    assert find_stages(torchvision.models.mobilenet_v2(weights=None)) == []
