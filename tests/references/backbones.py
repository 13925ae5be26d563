"""Small backbones of every kind, and weights that no initialisation gives."""
from __future__ import annotations

import copy
from pathlib import Path

import torch
from mmengine.registry import DefaultScope
from mmseg.registry import MODELS
from mmseg.utils import register_all_modules as register_mmseg
from torch import nn

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


def segmentor(backbone: dict, channels: int) -> nn.Module:
    return build(dict(
        type='EncoderDecoder', backbone=backbone, decode_head=dict(
            type='FCNHead', in_channels=channels, channels=4, in_index=-1, num_classes=3,
            num_convs=1)))
