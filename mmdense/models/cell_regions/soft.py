"""Regions that are learnt: prototypes, to which each cell belongs more or less."""
from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from mmcv.cnn import build_norm_layer
from torch import Tensor, nn

from mmdense.gathering import gather_with_gradient
from mmdense.mistakes import WrongValue
from mmdense.registry import MODELS
from mmdense.structures import Views

from .owners import CellRegions


def balance_of(found: list[CellRegions]) -> Tensor:
    """Return log K minus the entropy of the mean weight of each region, over all views and cells.

    0 where all K regions are equally large, log K where one has everything. The mean is over all
    processes, with gradient.

    Args:
        found: regions of each view with weights (B, K, h, w) whose sum over K is 1.
    """
    with torch.autocast(found[0].cells.device.type, enabled=False):
        means = torch.stack([regions.weights.float().mean((0, 2, 3)) for regions in found])
        share = gather_with_gradient(means).mean(0)
        # the logarithm of a share of 0 would have an infinite gradient
        logarithms = share.clamp_min(torch.finfo(share.dtype).tiny).log()
        return math.log(len(share)) + (share * logarithms).sum()


@MODELS.register_module()
class SoftRegions(nn.Module):
    """Weights of K learnt regions: softmax of the cosine between a cell and K prototypes.

    Region k is prototype k in every image, so it is the same in both views. The channels are
    standardised first: what all cells share tells no regions apart. A cell belongs to the region
    of its largest weight; pooling takes the weights, and through them the contrast moves the
    prototypes. By itself it could be content with one region that is everywhere, so a method adds
    ``balance_weight`` times :func:`balance_of`.

    Args:
        in_channels: C of the maps.
        num_regions: K.
        temperature: of the softmax over cosines.
        balance_weight: of the loss that keeps all regions in use.
        norm_cfg: standardises the channels; without affine part, None for none.

    Raises:
        ValueError: fewer than two regions, or a temperature that is not above 0.
    """
    whole_image = False

    def __init__(self, in_channels: int, num_regions: int = 16, temperature: float = 0.1,
                 balance_weight: float = 1.0, norm_cfg: dict | None = None) -> None:
        super().__init__()
        if num_regions < 2 or temperature <= 0:
            raise WrongValue(f'SoftRegions: num_regions={num_regions}, temperature={temperature}; '
                             'expected at least 2, and above 0')
        self.in_channels = in_channels
        self.temperature, self.balance_weight = temperature, balance_weight
        self.norm = nn.Identity() if norm_cfg is None else build_norm_layer(
            {**norm_cfg, 'affine': False}, in_channels)[1]
        self.prototypes = nn.Parameter(F.normalize(torch.randn(num_regions, in_channels)))

    def weigh(self, maps: Tensor) -> CellRegions:
        """Return the regions of a map (B, C, h, w), in at least float32."""
        with torch.autocast(maps.device.type, enabled=False):
            maps = maps.to(torch.promote_types(maps.dtype, torch.float32))
            cosine = torch.einsum('bchw,kc->bkhw', F.normalize(self.norm(maps), dim=1),
                                  F.normalize(self.prototypes, dim=1).to(maps.dtype))
            weights = (cosine / self.temperature).softmax(1)
        return CellRegions(weights.argmax(1) + 1, weights)

    def forward(self, maps: list[Tensor], whole: Tensor | None, views: Views) -> list[CellRegions]:
        """Return the regions of each view.

        Args:
            maps: (B, C, h, w) of each view.
            whole: not used.
            views: not used.
        """
        return [self.weigh(features) for features in maps]
