"""Heads that are not told how many channels come in."""
from __future__ import annotations

import pytest
import torch
from references.known_backbones import KNOWN
from references.tiny import BACKBONE, build, build_detcon, build_moco, views_of

HEAD = dict(type='mmdense.Projector', hidden_channels=8, out_channels=16)
SEVERAL = {**BACKBONE, 'out_indices': (0, 1, 2, 3)}
DECODER = dict(type='FCNHead', in_channels=64, in_index=3, channels=24, num_convs=1,
               concat_input=False, num_classes=3, norm_cfg=dict(type='BN'))


@pytest.mark.parametrize('changes, channels', [
    pytest.param(dict(), 64, id='ResNet', marks=pytest.mark.situation(
        'backbones', '`projector.in_channels` left out', 'works', "it is the map's")),
    (dict(backbone=SEVERAL, out_index=1), 16), (dict(backbone=SEVERAL, decode_head=DECODER), 24),
    (dict(backbone={**BACKBONE, 'in_channels': 5}), 64),
    (dict(backbone={**BACKBONE, 'norm_cfg': dict(type='SyncBN')}), 64)])
def test_they_are_those_of_the_map(changes, channels):
    method = build(projector=HEAD, dense_projector=HEAD, **changes)
    assert method.projector.in_channels == method.dense_projector.in_channels == channels


@pytest.mark.parametrize('known', [known for known in KNOWN if known.kind],
                         ids=lambda known: known.kind)
def test_of_one_of_each_kind_of_backbone(known):
    """A forward with other channels would be an error."""
    method = build_moco(backbone=known.cfg, projector=HEAD, out_index=known.out_index)
    images = [torch.randn(2, 3, 64, 64) for _ in range(2)]
    assert method.loss(images, views_of(torch.arange(2)))['loss_image'].isfinite()


def test_nothing_changes_by_the_question():
    """Weights, random states, modes and buffers are those of a method that was told."""
    def made(**told):
        torch.manual_seed(0)
        method = build_moco(projector={**HEAD, **told})
        return method.state_dict(), torch.rand(3), [m.training for m in method.modules()]
    (one, after, modes), (other, after_other, other_modes) = made(), made(in_channels=64)
    assert all(torch.equal(value, other[name]) for name, value in one.items())
    assert torch.equal(after, after_other) and modes == other_modes


def test_learnt_regions_are_told_and_predictors_are_not_asked():
    method = build_detcon('B', projector=HEAD,
                          regions=dict(type='mmdense.SoftRegions', num_regions=4))
    assert method.regions.prototypes.shape == (4, 64) and method.projector.in_channels == 64
    assert method.predictor.in_channels == 16


def test_on_no_device():
    with torch.device('meta'):
        method = build_moco(projector=HEAD)
    assert method.projector.in_channels == 64
    assert next(method.projector.parameters()).device.type == 'meta'


class Peculiar(torch.nn.Module):
    def forward(self, images):
        raise RuntimeError('expected 7 pixels')


def test_a_backbone_that_takes_no_such_image_is_told():
    with pytest.raises(ValueError, match=r'Peculiar does not take a black image \(1, 3, 64, 64\), '
                       r'so its channels are not known \(expected 7 pixels\): give the heads'):
        build_moco(backbone=Peculiar(), projector=HEAD)
