"""Maps of any backbone: channels first, the one that is asked for, or an error that says why."""
from __future__ import annotations

import pytest
import torch
from torch import nn

from mmdense.models.maps import backbone_maps, channels_first, choose_map


class Gives(nn.Module):
    """Returns what it was made with."""

    def __init__(self, given, output_fmt: str | None = None) -> None:
        super().__init__()
        self.given = given
        if output_fmt:
            self.output_fmt = output_fmt

    def forward(self, images: torch.Tensor):
        return self.given


@pytest.mark.parametrize('shape, image, expected', [
    ((2, 7, 7, 16), (224, 224), (2, 16, 7, 7)), ((2, 16, 7, 7), (224, 224), (2, 16, 7, 7)),
    ((2, 4, 6, 30), (64, 96), (2, 30, 4, 6)), ((2, 30, 4, 6), (64, 96), (2, 30, 4, 6)),
    ((2, 13, 10, 5), (101, 75), (2, 5, 13, 10)), ((2, 1, 1, 512), (32, 32), (2, 512, 1, 1)),
    ((2, 3, 64, 64), (64, 64), (2, 3, 64, 64)), ((2, 8, 8, 8), (64, 64), (2, 8, 8, 8))])
def test_the_sides_tell_where_the_channels_are(shape, image, expected):
    features = torch.randn(shape)
    turned = channels_first(nn.Identity(), features, torch.Size(image))
    assert turned.shape == expected
    if shape != expected:
        assert torch.equal(turned.permute(0, 2, 3, 1), features)


def test_a_network_that_says_its_order_is_believed():
    features = torch.randn(2, 8, 8, 8)
    turned = channels_first(Gives(None, 'NHWC'), features, torch.Size((64, 64)))
    assert torch.equal(turned, features.permute(0, 3, 1, 2))
    odd = torch.randn(2, 7, 7, 16)
    assert channels_first(Gives(None, 'NCHW'), odd, torch.Size((224, 224))) is odd


def test_one_map_alone_is_the_map_whatever_the_index():
    backbone, images = Gives(torch.randn(2, 4, 4, 16)), torch.zeros(2, 3, 64, 64)
    maps = backbone_maps(backbone, images)
    for index in (-1, 0, 1):
        assert choose_map(backbone, maps, index).shape == (2, 16, 4, 4)


@pytest.mark.parametrize('given, index, message', [
    ((torch.randn(2, 4, 8, 8),), 1, r'out_index=1: Gives gives 1 map\(s\)'),
    ((torch.randn(2, 17, 12),), -1, r"Gives gives \(2, 17, 12\), .*out_type='featmap', one of ti"),
    (([torch.randn(2, 4, 8, 8), torch.randn(2, 4)],), -1, 'Gives gives list, a map'),
    (torch.randn(2, 17, 12), 0, r'Gives gives \(2, 17, 12\), a map')])
def test_what_is_no_map_is_told(given, index, message):
    backbone = Gives(given)
    with pytest.raises(ValueError, match=message):
        choose_map(backbone, backbone_maps(backbone, torch.zeros(2, 3, 64, 64)), index)
