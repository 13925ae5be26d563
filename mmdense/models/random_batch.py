"""A batch of random views with their geometry, to try a step with."""
from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from mmdense.structures import Views

from .matching.geometry import cell_centres
from .selfsup.base import DenseSSL


def random_batch(count: int, batch: int, size: int, channels: int = 3, regions: int = 16,
                 device: torch.device | str = 'cpu') -> tuple[list[Tensor], Views]:
    """Return ``count`` views (B, channels, size, size) of each of B images, and their geometry.

    Pixels are normal noise. The images are twice as large as a view. The first two views show at
    least the middle quarter, and half of these are mirrored; others show the whole image. Each
    image has a grid of ``regions`` regions, which the views cut out.
    """
    images = [torch.randn(batch, channels, size, size, device=device) for _ in range(count)]
    side = 2 * size
    margins = torch.rand(count, batch, 4, device=device) * side / 4
    flips = torch.rand(count, batch, device=device) < 0.5
    margins[2:], flips[2:] = 0, False
    boxes = torch.cat([margins[..., :2], side - margins[..., 2:]], 2)
    columns = math.ceil(regions ** 0.5)
    rows = math.ceil(regions / columns)
    grid, maps = torch.tensor([columns, rows], device=device), []
    for box, flip in zip(boxes, flips, strict=True):
        column, row = (cell_centres(box, flip, size, size) * grid / side).long().unbind(2)
        ids = (row * columns + column + 1).clamp(max=regions)
        maps.append(ids.view(batch, size, size).int())
    return images, Views(boxes=boxes, flips=flips, index=torch.arange(batch, device=device),
                         regions=maps, num_regions=regions,
                         sizes=torch.full((batch, 2), side, device=device))


def random_batch_for(model: nn.Module, batch: int, size: int, **options) -> tuple[list[Tensor],
                                                                                  Views]:
    """Return :func:`random_batch` of as many views as a method takes, with random targets.

    Two views for a model that is no method.

    Args:
        options: of :func:`random_batch`.
    """
    images, views = random_batch(getattr(model, 'num_views', 2), batch, size, **options)
    return images, model.random_targets(images, views) if isinstance(model, DenseSSL) else views
