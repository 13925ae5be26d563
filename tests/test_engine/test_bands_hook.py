"""A run refuses images of other bands than its preprocessor and backbone take."""
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from mmdense.registry import HOOKS


class Network(nn.Module):
    """A preprocessor with a mean per band, and a backbone of one convolution."""

    def __init__(self, numbers: int, bands: int) -> None:
        super().__init__()
        self.data_preprocessor = nn.Identity()
        self.data_preprocessor.mean = torch.zeros(numbers)
        self.backbone = nn.Sequential(nn.Conv2d(bands, 2, 1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.backbone(self.data_preprocessor(dict(inputs=[images]))['inputs'][0])


def watched(numbers: int, bands: int) -> Network:
    network = Network(numbers, bands)
    HOOKS.build(dict(type='mmdense.BandsHook')).before_run(SimpleNamespace(model=network))
    return network


def test_bands_that_fit_pass():
    assert watched(4, 4)(torch.zeros(1, 4, 5, 5)).shape == (1, 2, 5, 5)
    assert watched(1, 4)(torch.zeros(1, 4, 5, 5)).shape == (1, 2, 5, 5)


def test_other_bands_are_told_with_the_setting():
    with pytest.raises(ValueError, match=r'convolution \(0\) takes 3: set '
                       r'model.backbone.in_channels=4'):
        watched(4, 3)(torch.zeros(1, 4, 5, 5))
    with pytest.raises(ValueError, match='have 4 channels, but mean of the data_preprocessor '
                       r'\(Identity\) has 3 numbers'):
        watched(3, 4)(torch.zeros(1, 4, 5, 5))
