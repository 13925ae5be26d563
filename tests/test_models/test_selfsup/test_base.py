"""DenseSSL: any mmseg decode head as an encoder, and weights that a segmentor takes."""
from __future__ import annotations

import pytest
import torch
from mmengine.registry import MODELS, DefaultScope
from references.tiny import BACKBONE, build, views_of

HEADS = {
    'FCN': dict(type='FCNHead', num_convs=1, concat_input=True),
    'PSP': dict(type='PSPHead', pool_scales=(1, 2)),
    'DeepLabv3+': dict(type='DepthwiseSeparableASPPHead', dilations=(1, 2), c1_in_channels=8,
                       c1_channels=4),
    'non-local': dict(type='NLHead', reduction=2),
}


def head_config(name):
    return dict(in_channels=64, in_index=-1, channels=12, norm_cfg=dict(type='BN'), **HEADS[name])


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


def test_prediction_names_the_loop_to_use():
    with pytest.raises(ValueError, match='mmdense.DenseKNNValLoop'):
        build()(torch.zeros(1, 3, 32, 32), mode='predict')
