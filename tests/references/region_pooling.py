"""Regions of cells, and means over them, one pixel and one cell at a time."""
from __future__ import annotations

from collections import Counter
from fractions import Fraction

import torch
from torch import Tensor


def cells_by_majority(regions: Tensor, h: int, w: int) -> Tensor:
    """As :func:`mmdense.models.region_pooling.cells_by_majority`."""
    images, height, width = regions.shape
    out = torch.zeros(images, h, w, dtype=torch.int64)
    for b in range(images):
        pixels = {}
        for y in range(height):
            for x in range(width):
                cell = (int(Fraction(2 * y + 1, 2 * height) * h),
                        int(Fraction(2 * x + 1, 2 * width) * w))
                pixels.setdefault(cell, Counter())[int(regions[b, y, x])] += 1
        for (i, j), counts in pixels.items():
            most = max(counts.values())
            out[b, i, j] = min(region for region, count in counts.items() if count == most)
    return out


def masked_pool(features: Tensor, cells: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
    """As :func:`mmdense.models.region_pooling.masked_pool`, in the features' dtype."""
    means, areas = [], []
    for b, row in enumerate(ids.tolist()):
        for region in row:
            total, area = features.new_zeros(features.shape[1]), 0
            for i in range(cells.shape[1]):
                for j in range(cells.shape[2]):
                    if region != 0 and int(cells[b, i, j]) == region:
                        total, area = total + features[b, :, i, j], area + 1
            means.append(total / max(area, 1))
            areas.append(float(area))
    return (torch.stack(means).view(*ids.shape, -1),
            torch.tensor(areas, dtype=features.dtype).view(ids.shape))


def weighted_pool(features: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """As :func:`mmdense.models.region_pooling.weighted_pool`, in the features' dtype."""
    means, areas = [], []
    for b in range(len(weights)):
        for r in range(weights.shape[1]):
            total, area = features.new_zeros(features.shape[1]), weights.new_zeros(())
            for i in range(weights.shape[2]):
                for j in range(weights.shape[3]):
                    total = total + weights[b, r, i, j] * features[b, :, i, j]
                    area = area + weights[b, r, i, j]
            means.append(total / area if area > 0 else total)
            areas.append(area)
    return torch.stack(means).view(*weights.shape[:2], -1), torch.stack(areas).view(
        weights.shape[:2])
