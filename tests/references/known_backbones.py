"""Backbones of mmseg, mmpretrain and timm, each tried on the whole road at its smallest.

``python tests/references/known_backbones.py`` tries all of them and writes the table of
``docs/backbones.md``; the tests try them again and compare.
"""
from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import torch

if __name__ == '__main__':
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mmengine.optim import OptimWrapper
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmdense.engine.unused_parameters import describe_unused, reached_parameters
from mmdense.evaluation.features import FrozenEncoder
from mmdense.evaluation.from_config import quiet
from mmdense.models.maps import backbone_maps, choose_map
from references import backbones, tiny

PAGE = Path(__file__).resolve().parents[2] / 'docs/backbones.md'
#: what stands in the page is replaced after this line; what comes before it is written by hand
START = '<!-- generated: python tests/references/known_backbones.py -->'
BN = dict(norm_cfg=dict(type='BN'))
SIDE = 64


@dataclass(frozen=True)
class Known:
    """A backbone, made small, and what a config says of it.

    Attributes:
        library: where it comes from.
        name: as the page shows it.
        cfg: the small backbone.
        out_index: the map to learn on.
        lines: what a config sets beside its type.
        decoder: whether stock mmseg decoders take its maps.
        kind: one of each kind is tried in every run of the tests.
    """
    library: str
    name: str
    cfg: dict
    out_index: int = -1
    lines: str = ''
    decoder: bool = True
    kind: str = ''
    num_grid: int | None = None


def timm(name: str, **changes) -> dict:
    return dict(type='mmpretrain.TIMMBackbone', model_name=name, features_only=True, **changes)


def hrnet(width: int = 4) -> dict:
    def stage(branches):
        return dict(num_modules=1, num_branches=branches, block='BASIC',
                    num_blocks=(1,) * branches,
                    num_channels=tuple(width * 2 ** n for n in range(branches)))
    return dict(type='HRNet', **BN, extra=dict(
        stage1=dict(num_modules=1, num_branches=1, block='BOTTLENECK', num_blocks=(1,),
                    num_channels=(8,)), stage2=stage(2), stage3=stage(3), stage4=stage(4)))


R18 = dict(type='ResNet', depth=18, base_channels=8, **BN)
KNOWN = (
    Known('mmseg', 'ResNet', R18, kind='ResNet'),
    Known('mmseg', 'ResNetV1c', dict(R18, type='ResNetV1c', stem_channels=8)),
    Known('mmseg', 'MobileNetV2', dict(type='MobileNetV2', widen_factor=0.25,
                                       out_indices=(1, 2, 4, 6), **BN)),
    Known('mmseg', 'HRNet', hrnet(), kind='HRNet', lines=(
        'or a `decode_head` with `input_transform=\'resize_concat\'`, which trains all four')),
    Known('mmseg', 'UNet', dict(type='UNet', base_channels=4, **BN),
          lines='`num_grid=8` (DenseCL); evaluate with `stride=8`', kind='stride 1', num_grid=8),
    Known('mmseg', 'BiSeNetV1', dict(
        type='BiSeNetV1', backbone_cfg=dict(R18, base_channels=64, out_indices=(0, 1, 2, 3)),
        spatial_channels=(8, 8, 8, 128), **BN), out_index=0),
    Known('mmseg', 'BiSeNetV2', dict(
        type='BiSeNetV2', detail_channels=(8, 8, 16), semantic_channels=(8, 8, 16, 16),
        semantic_expansion_ratio=2, bga_channels=16, **BN), out_index=0, kind='several branches'),
    Known('mmseg', 'PIDNet', dict(type='PIDNet', channels=8, ppm_channels=12, num_stem_blocks=1,
                                  num_branch_blocks=1, **BN), out_index=1,
          kind='auxiliary maps in training only'),
    Known('mmseg', 'DDRNet', dict(type='DDRNet', channels=8, ppm_channels=16, **BN), out_index=1),
    Known('mmseg', 'STDCContextPathNet', dict(
        type='STDCContextPathNet', backbone_cfg=dict(
            type='STDCNet', stdc_type='STDCNet1', in_channels=3, channels=(8, 8, 16, 32, 32),
            bottleneck_type='cat', num_convs=4, norm_cfg=dict(type='BN'), act_cfg=dict(
                type='ReLU'), with_final_conv=False),
        last_in_channels=(32, 32), out_channels=16, ffm_cfg=dict(
            in_channels=32, out_channels=32, scale_factor=4)), out_index=3),
    Known('mmseg', 'FastSCNN', dict(
        type='FastSCNN', downsample_dw_channels=(8, 8), global_in_channels=16,
        global_block_channels=(16, 16, 16), global_out_channels=16, higher_in_channels=16,
        lower_in_channels=16, fusion_out_channels=16, out_indices=(0, 1, 2), **BN)),
    Known('mmseg', 'CGNet', dict(type='CGNet', num_channels=(8, 16, 32), num_blocks=(1, 1),
                                 dilations=(2, 4), reductions=(4, 4), **BN)),
    Known('mmseg', 'ERFNet', dict(type='ERFNet', **BN), lines='evaluate with `stride=8`'),
    Known('mmseg', 'ICNet', dict(
        type='ICNet', backbone_cfg=dict(type='ResNetV1c', depth=18, base_channels=8,
                                        stem_channels=8, out_indices=(0, 1, 2, 3),
                                        dilations=(1, 1, 2, 4), strides=(1, 2, 1, 1), **BN),
        layer_channels=(16, 64), psp_out_channels=16, light_branch_middle_channels=8,
        out_channels=(8, 16, 16), in_channels=3, **BN)),
    Known('mmseg', 'MSCAN', dict(type='MSCAN', embed_dims=[4, 4, 8, 8], depths=[1, 1, 1, 1],
                                 mlp_ratios=[2, 2, 2, 2], norm_cfg=dict(type='BN'))),
    Known('mmseg', 'MixVisionTransformer', backbones.BACKBONES['mmseg MiT']),
    Known('mmseg', 'SwinTransformer', dict(backbones.BACKBONES['mmseg Swin'],
                                           use_abs_pos_embed=False)),
    Known('mmseg', 'PCPVT', dict(
        type='PCPVT', embed_dims=[4, 4, 8, 8], depths=[1, 1, 1, 1], num_heads=[1, 1, 1, 1],
        mlp_ratios=[2, 2, 2, 2], norm_after_stage=False)),
    Known('mmseg', 'VisionTransformer', dict(backbones.BACKBONES['mmseg ViT'], img_size=(64, 64),
                                             patch_size=16), kind='ViT'),
    Known('mmseg', 'BEiT', dict(backbones.BACKBONES['mmseg BEiT'], img_size=(64, 64),
                                patch_size=16)),
    Known('mmpretrain', 'ResNet', backbones.PRETRAIN_R18),
    Known('mmpretrain', 'ConvNeXt', dict(
        type='mmpretrain.ConvNeXt', arch=dict(depths=[1, 1, 1, 1], channels=[4, 4, 8, 8]),
        out_indices=(0, 1, 2, 3), gap_before_final_norm=False),
        lines='`gap_before_final_norm=False`'),
    Known('mmpretrain', 'VisionTransformer', dict(
        backbones.BACKBONES['mmpretrain ViT'], img_size=64, patch_size=16),
        lines="`out_type='featmap'`"),
    Known('mmpretrain', 'SwinTransformer', backbones.BACKBONES['mmpretrain Swin']),
    Known('mmpretrain', 'EfficientNet', dict(type='mmpretrain.EfficientNet', arch='b0',
                                             out_indices=(3, 4, 6))),
    Known('mmpretrain', 'RegNet', dict(type='mmpretrain.RegNet', arch='regnetx_400mf')),
    Known('mmpretrain', 'VAN', dict(type='mmpretrain.VAN', arch=dict(
        embed_dims=[4, 4, 8, 8], depths=[1, 1, 1, 1], ffn_ratios=[2, 2, 2, 2]))),
    Known('mmpretrain', 'PoolFormer', dict(type='mmpretrain.PoolFormer', arch=dict(
        layers=[1, 1, 1, 1], embed_dims=[4, 8, 12, 16], mlp_ratios=[2, 2, 2, 2],
        layer_scale_init_value=1e-5), out_indices=(0, 2, 4, 6)),
        lines='`out_indices=(0, 2, 4, 6)`'),
    Known('timm', 'ResNet', timm('resnet10t')),
    Known('timm', 'ConvNeXt', timm('convnext_atto', depths=(1, 1, 1, 1), dims=(8, 8, 16, 16)),
          kind='timm'),
    Known('timm', 'MobileNetV3', timm('mobilenetv3_small_050')),
    Known('timm', 'Vision transformer', timm('vit_tiny_patch16_224', img_size=64, depth=2,
                                             embed_dim=12, out_indices=(1,)),
          lines='`img_size`, `out_indices`'),
    Known('timm', 'Swin', timm('swin_tiny_patch4_window7_224', depths=(1, 1), num_heads=(1, 2),
                               embed_dim=8, out_indices=(0, 1), img_size=64),
          decoder=False, kind='channels last',
          lines="`feature_cls='getter'` for decoders: maps are (B, H, W, C) without it"),
    Known('timm', 'Swin, getter', timm(
        'swin_tiny_patch4_window7_224', depths=(1, 1), num_heads=(1, 2), embed_dim=8,
        out_indices=(0, 1), img_size=64, feature_cls='getter'), lines="`feature_cls='getter'`"),
)


@dataclass
class Facts:
    """What a backbone showed.

    Attributes:
        maps: (channels, stride) of each that it gives in training.
        channels: of the map that is learnt on.
        stride: of that map, in pixels.
        unused: share of its parameters that get no gradient.
        evaluated: whether frozen evaluation takes the same map.
        finetuned: whether a stock decoder takes a step on the pretrained weights.
    """
    maps: list[tuple[int, int]] = field(default_factory=list)
    channels: int = 0
    stride: int = 0
    unused: float = 0.0
    evaluated: bool = False
    finetuned: bool = False


def pretrain(known: Known, facts: Facts) -> torch.nn.Module:
    """Take two DenseCL steps; return the method."""
    images = [torch.randn(4, 3, SIDE, SIDE) for _ in range(2)]
    net = backbones.build(known.cfg)
    net.train()
    with torch.no_grad():
        maps = backbone_maps(net, images[0])
        chosen = choose_map(net, maps, known.out_index)
    maps = [maps] if isinstance(maps, torch.Tensor) else maps
    facts.maps = [(one.shape[1], round(SIDE / one.shape[2])) for one in maps]
    facts.channels, facts.stride = chosen.shape[1], round(SIDE / chosen.shape[2])
    head = dict(type='mmdense.Projector', in_channels=facts.channels, hidden_channels=8,
                out_channels=8)
    method = tiny.build(backbone=known.cfg, out_index=known.out_index, projector=head,
                        dense_projector=head, num_grid=known.num_grid,
                        data_preprocessor=dict(type='mmdense.ViewsPreprocessor'))
    method.train()
    wrapper = OptimWrapper(torch.optim.SGD([p for p in method.parameters() if p.requires_grad],
                                           lr=0.01))
    for _ in range(2):
        with reached_parameters(method) as reached:
            loss = sum(method.loss(images, tiny.views_of(torch.arange(4))).values())
            wrapper.update_params(loss)
        assert torch.isfinite(loss), f'{known.name}: loss {loss}'
    facts.unused = describe_unused(method, reached)[0]
    return method


@torch.no_grad()
def evaluates_the_trained_map(known: Known, method: torch.nn.Module) -> bool:
    """Return whether frozen evaluation gives the map that was trained, and at stride 8 at most."""
    images = torch.randint(0, 256, (2, 3, SIDE, SIDE), dtype=torch.uint8)
    method.eval()
    trained = method.encode(method.data_preprocessor.normalise(images))
    same = torch.allclose(FrozenEncoder(method)(images), trained, atol=1e-4, rtol=1e-3)
    return same and max(FrozenEncoder(method, 8)(images).shape[2:]) <= SIDE // 8


def finetune(known: Known, method: torch.nn.Module, facts: Facts) -> bool:
    """Return whether a stock segmentor takes a training step on the pretrained backbone."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'iter_2.pth'
        torch.save(dict(state_dict=method.state_dict()), path)
        segmentor = backbones.build(dict(
            type='EncoderDecoder', backbone=dict(known.cfg, init_cfg=backbones.from_file(path)),
            decode_head=dict(type='FCNHead', in_channels=facts.channels, channels=4, num_convs=1,
                             in_index=known.out_index, num_classes=3, norm_cfg=dict(type='BN'))))
        with quiet():
            segmentor.init_weights()
    pretrained = method.backbone.state_dict()
    assert all(torch.equal(value, pretrained[name])
               for name, value in segmentor.backbone.state_dict().items())
    segmentor.train()
    labels = SegDataSample(gt_sem_seg=PixelData(data=torch.randint(0, 3, (1, SIDE, SIDE))))
    try:
        losses = segmentor.loss(torch.randn(2, 3, SIDE, SIDE), [labels, labels])
    except RuntimeError:            # the decoder does not take such maps
        return False
    losses['decode.loss_ce'].backward()
    return bool(torch.isfinite(losses['decode.loss_ce']))


def try_backbone(known: Known) -> Facts:
    """Pretrain, evaluate and fine-tune a backbone; return what it showed."""
    torch.manual_seed(0)
    facts = Facts()
    method = pretrain(known, facts)
    facts.evaluated = evaluates_the_trained_map(known, method)
    facts.finetuned = finetune(known, method, facts)
    return facts


def row(known: Known, facts: Facts) -> str:
    """Return a backbone's line of the page."""
    set_index = f'`out_index={known.out_index}`' if known.out_index != -1 else ''
    say = '; '.join(filter(None, (set_index, known.lines)))
    unused = f'{facts.unused:.0%}' if facts.unused >= 0.005 else '0'
    strides = ' '.join(str(stride) for _, stride in facts.maps)
    yes = {True: 'yes', False: 'no'}
    return (f'| {known.library} | {known.name} | yes | {yes[facts.evaluated]} | '
            f'{yes[facts.finetuned]} | {strides} | {known.out_index} | {facts.stride} | '
            f'{unused} | {say} |')


HEAD = ['| from | backbone | pretrain | evaluate | fine-tune | strides of its maps | trained map | '
        'its stride | without gradient | set |', '|---|---|---|---|---|---|---|---|---|---|']


def main() -> None:
    rows = [row(known, try_backbone(known)) for known in KNOWN]
    head = PAGE.read_text(encoding='utf-8').partition(START)[0]
    PAGE.write_text('\n'.join([head + START, '', *HEAD, *rows]) + '\n', encoding='utf-8')


if __name__ == '__main__':
    main()
