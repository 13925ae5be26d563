"""DenseSSL: any mmseg decode head as an encoder, and weights that a segmentor takes."""
from __future__ import annotations

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, DefaultScope
from mmpretrain.engine import LearningRateDecayOptimWrapperConstructor  # noqa: F401
from references.known_backbones import KNOWN
from references.tiny import (
    BACKBONE,
    build,
    build_detcon,
    build_moco,
    region_views,
    views_of,
)

from mmdense.evaluation.features import FrozenEncoder

HEADS = {
    'FCN': dict(type='FCNHead', num_convs=1, concat_input=True),
    'PSP': dict(type='PSPHead', pool_scales=(1, 2)),
    'DeepLabv3+': dict(type='DepthwiseSeparableASPPHead', dilations=(1, 2), c1_in_channels=8,
                       c1_channels=4),
    'non-local': dict(type='NLHead', reduction=2),
    'MoCoFCN': dict(type='FCNHead', num_convs=2, dilation=6, concat_input=False),
    'SegFormer': dict(type='SegformerHead', in_channels=[8, 16, 32, 64], in_index=[0, 1, 2, 3]),
    'UPerNet': dict(type='UPerHead', in_channels=[8, 16, 32, 64], in_index=[0, 1, 2, 3],
                    pool_scales=(1, 2)),
}


def head_config(name):
    return dict(in_channels=64, in_index=-1, channels=12, norm_cfg=dict(type='BN')) | HEADS[name]


@pytest.mark.parametrize('name', HEADS)
def test_a_decode_head_is_pretrained_and_loads_into_a_segmentor(name):
    backbone = {**BACKBONE, 'out_indices': (0, 1, 2, 3)}
    projector = dict(type='mmdense.Projector', in_channels=12, hidden_channels=8, out_channels=16)
    method = build(backbone=backbone, decode_head=head_config(name), projector=projector,
                   dense_projector=projector, num_grid=4)
    method.init_weights()
    images = [torch.randn(4, 3, 64, 64) for _ in range(2)]
    sum(method.loss(images, views_of(torch.arange(4))).values()).backward()
    assert [n for n, p in method.named_parameters()
            if p.grad is None and not n.startswith('twin.')] == []
    assert method.extract_feat(images[0])[0].shape[:2] == (4, 12)
    with DefaultScope.overwrite_default_scope('mmseg'):
        segmentor = MODELS.build(dict(
            type='EncoderDecoder', backbone=backbone, pretrained=None,
            decode_head=dict(**head_config(name), num_classes=5)))
    missing = segmentor.load_state_dict(method.state_dict(), strict=False).missing_keys
    assert missing == ['decode_head.conv_seg.weight', 'decode_head.conv_seg.bias']


def test_a_pretrained_decoder_over_a_random_encoder(tmp_path):
    """The third way of docs/methods/plmoco.md, by mmengine's own initialiser."""
    head = head_config('MoCoFCN')
    method = build_moco(decode_head=head, projector=dict(
        type='mmdense.Projector', hidden_channels=8, out_channels=16))
    torch.save(dict(state_dict=method.state_dict()), tmp_path / 'edmoco.pth')
    with DefaultScope.overwrite_default_scope('mmseg'):
        segmentor = MODELS.build(dict(
            type='EncoderDecoder', backbone=BACKBONE, pretrained=None,
            decode_head=dict(**head, num_classes=5, init_cfg=dict(
                type='Pretrained', prefix='decode_head.',
                checkpoint=str(tmp_path / 'edmoco.pth')))))
        segmentor.init_weights()
    for name, tensor in method.decode_head.named_parameters():
        assert torch.equal(segmentor.decode_head.get_parameter(name), tensor)
    assert not torch.equal(segmentor.backbone.conv1.weight, method.backbone.conv1.weight)


@pytest.mark.situation('backbones', 'a `decode_head` that returns several maps, or needs mmcv\'s '
                       'compiled operators or another package that is not there', 'error',
                       'one line names the head and one that works')
@pytest.mark.parametrize('head, told', [
    (dict(type='DAHead', pam_channels=8), 'decode_head DAHead gives a tuple; expected a head'),
    (dict(type='CCHead', recurrence=2), 'decode_head CCHead needs what is not installed'),
    (dict(type='SegmenterMaskTransformerHead', num_layers=1, num_heads=1, embed_dims=8),
     'decode_head SegmenterMaskTransformerHead has no classifier conv_seg')])
def test_a_decode_head_that_is_no_encoder_is_told(head, told):
    projector = dict(type='mmdense.Projector', in_channels=12, hidden_channels=8, out_channels=16)
    with pytest.raises(ValueError, match=told):
        build_moco(decode_head=dict(in_channels=64, in_index=-1, channels=12, **head),
                   projector=projector).encode(torch.randn(2, 3, 64, 64))


def test_prediction_names_the_loop_to_use():
    with pytest.raises(ValueError, match='mmdense.DenseKNNValLoop'):
        build()(torch.zeros(1, 3, 32, 32), mode='predict')


SMALL = {(known.library, known.name): known.cfg for known in KNOWN}


def on(backbone: dict, channels: int, **changes) -> torch.nn.Module:
    head = dict(type='mmdense.Projector', in_channels=channels, hidden_channels=8, out_channels=16)
    return build(backbone=backbone, projector=head, dense_projector=head, **changes)


@pytest.mark.parametrize('out_index', [0, 2, -2])
def test_training_twin_and_evaluation_take_the_same_map(out_index):
    backbone = {**BACKBONE, 'out_indices': (0, 1, 2)}
    channels = (8, 16, 32)[out_index]
    method = on(backbone, channels, out_index=out_index)
    method.twin.follow()
    method.eval()
    images = torch.randn(2, 3, 64, 64)
    expected = method.backbone(images)[out_index]
    assert torch.equal(method.encode(images), expected)
    assert torch.equal(method.encode(images, method.twin), expected)
    assert FrozenEncoder(method).out_index == out_index
    method.train()
    sum(method.loss([images, images], views_of(torch.arange(2))).values()).backward()


def test_cells_of_another_map_than_the_image_of_one_pass():
    """``cell_index``: heads, twin, gradients, and the cells that the loss compares."""
    head = dict(type='mmdense.Projector', hidden_channels=8, out_channels=16)
    method = build(backbone={**BACKBONE, 'out_indices': (1, 2, 3)}, projector=head,
                   dense_projector=head, cell_index=-2)
    assert (method.projector.in_channels, method.dense_projector.in_channels) == (64, 32)
    images, passes = torch.randn(2, 3, 64, 64), []
    method.backbone.register_forward_hook(lambda *_: passes.append(0))
    method.twin.follow()
    method.eval()
    _, small, large = method.backbone(images)
    assert method.loss_map(images).shape == (2, 32, *small.shape[2:])
    for net in (method, method.twin):
        whole, cells = method.encode_both(images, net)
        assert torch.equal(whole, large) and torch.equal(cells, small)
        vector, rows, matched_by = method.project(net, images)
        assert torch.equal(vector, net.projector(large.mean(dim=(2, 3))))
        assert torch.equal(rows, net.dense_projector(small))
        assert torch.equal(matched_by, small)
    assert FrozenEncoder(method).out_index == -1
    method.train()
    passes.clear()
    losses = method.loss([images, images], views_of(torch.arange(2)))
    assert len(passes) == 1
    losses['loss_dense'].backward(retain_graph=True)
    assert all(p.grad is None for p in method.backbone.layer4.parameters())
    assert all(p.grad is not None for p in method.backbone.layer3.parameters())
    losses['loss_single'].backward()
    assert [n for n, p in method.named_parameters()
            if p.grad is None and not n.startswith('twin.')] == []


@pytest.mark.parametrize('make, changes, message', [
    (build_moco, dict(), 'MoCo takes one map for all, that of out_index'),
    (build, dict(decode_head=head_config('FCN')), "DenseCL takes one map for all, the decode head's"
     )])
def test_an_index_of_cells_that_would_do_nothing_is_refused(make, changes, message):
    with pytest.raises(ValueError, match=f'cell_index=-2: {message}'):
        make(cell_index=-2, **changes)


def test_wrong_channels_of_the_map_of_cells_are_told():
    backbone = {**BACKBONE, 'out_indices': (2, 3)}
    with pytest.raises(ValueError, match='backbone gives 32 channels, dense_projector.in_channels '
                                         r'is 64 \(ResNet, cell_index=-2\): set'):
        on(backbone, 64, cell_index=-2).loss([torch.randn(2, 3, 64, 64)] * 2,
                                            views_of(torch.arange(2)))


def test_an_index_beside_a_decode_head_is_refused():
    with pytest.raises(ValueError, match='out_index=0: the decode head chooses its maps by its'):
        on(BACKBONE, 64, decode_head=head_config('FCN'), out_index=0)


@pytest.mark.parametrize('kind', 'SB')
def test_detcon_takes_the_chosen_map_and_tells_wrong_channels(kind):
    backbone = {**BACKBONE, 'out_indices': (1, 2)}
    head = dict(type='mmdense.Projector', in_channels=16, hidden_channels=8, out_channels=16)
    images, views = [torch.randn(2, 3, 64, 64) for _ in range(2)], region_views(2)
    method = build_detcon(kind, backbone=backbone, projector=head, out_index=0)
    sum(method.loss(images, views).values()).backward()
    assert all(p.grad is None for p in method.backbone.layer3.parameters())
    assert all(p.grad is not None for p in method.backbone.layer2.parameters())
    wrong = build_detcon(kind, backbone=backbone, projector=head)
    with pytest.raises(ValueError, match='backbone gives 32 channels, projector.in_channels is 16'):
        wrong.loss(images, views)
    soft = build_detcon(kind, backbone=backbone, projector=head, out_index=0,
                        regions=dict(type='mmdense.SoftRegions', in_channels=8))
    with pytest.raises(ValueError, match='backbone gives 16 channels, regions.in_channels is 8'):
        soft.loss(images, views)


def test_wrong_channels_behind_a_decode_head_are_told():
    with pytest.raises(ValueError, match='decode_head gives 12 channels, projector.in_channels is '
                                         r'64 \(FCNHead\): set'):
        on(BACKBONE, 64, decode_head=head_config('FCN')).loss(
            [torch.randn(2, 3, 64, 64)] * 2, views_of(torch.arange(2)))


def rates(method: torch.nn.Module, **paramwise) -> dict[str, float]:
    """The learning rate of each trained parameter, by name."""
    wrapper = build_optim_wrapper(method, dict(
        optimizer=dict(type='SGD', lr=1.0, weight_decay=0.1), **paramwise))
    rate = {id(p): group['lr'] for group in wrapper.optimizer.param_groups
            for p in group['params']}
    return {name: rate[id(p)] for name, p in method.named_parameters() if p.requires_grad}


@pytest.mark.situation('settings', "layer-wise learning rates of mmpretrain or mmseg (constructor="
                       "'LearningRateDecayOptimWrapperConstructor', 'LearningRateDecayOptimizer"
                       "Constructor') while pretraining", 'works',
                       'the backbone says the layer of each parameter; heads are of the last')
@pytest.mark.parametrize('backbone, channels, first', [
    (('mmpretrain', 'VisionTransformer'), 8, 'backbone.patch_embed.projection.weight'),
    (('mmpretrain', 'ConvNeXt'), 8, 'backbone.downsample_layers.0.0.weight'),
    (('mmpretrain', 'SwinTransformer'), 8, 'backbone.patch_embed.projection.weight')])
def test_mmpretrains_layer_wise_rates(backbone, channels, first):
    found = rates(on(SMALL[backbone], channels),
                  constructor='mmpretrain.LearningRateDecayOptimWrapperConstructor',
                  paramwise_cfg=dict(layer_decay_rate=0.5))
    assert found['projector.layers.0.weight'] == found['dense_projector.layers.2.bias'] == 1
    assert found[first] == min(found.values()) <= 0.25
    assert len(set(found.values())) >= 3


def test_mmsegs_layer_wise_rates():
    found = rates(on(SMALL['mmpretrain', 'ConvNeXt'], 8),
                  constructor='mmseg.LearningRateDecayOptimizerConstructor',
                  paramwise_cfg=dict(decay_rate=0.5, decay_type='stage_wise', num_layers=4))
    assert found['projector.layers.0.weight'] == 1
    assert found['backbone.downsample_layers.0.0.weight'] == min(found.values()) == 1 / 32


def test_a_backbone_that_does_not_know_its_layers_is_named():
    with pytest.raises(ValueError, match='ResNet has no get_layer_depth, which layer-wise'):
        build().get_layer_depth('backbone.conv1.weight')
    with pytest.raises(ValueError, match='ResNet of this depth has no layers for layer-wise'):
        on(SMALL['mmpretrain', 'ResNet'], 64).get_layer_depth('backbone.conv1.weight')
