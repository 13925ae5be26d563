"""Regions that a network finds, as slow float64 loops over images and cells, from the formulas."""
from __future__ import annotations

import math
from fractions import Fraction

import torch
from torch import Tensor

from references.nce import log_of_sum, unit

#: what :func:`carry_cells` answers where a centre lies on the border of two cells
BORDER = -1


def nearest(cell: Tensor, centres: list[Tensor]) -> int:
    """The first of the centres with the largest cosine."""
    cosines = [float(torch.dot(cell, centre)) for centre in centres]
    return cosines.index(max(cosines))


def cluster_cells(maps: Tensor, starts: list[list[int]], iterations: int) -> Tensor:
    """k-means by cosine of each image's cells (B, h, w), ids from 1.

    starts: of each image the cells, numbered row by row, whose features are the first centres.
    """
    batch, _, h, w = maps.shape
    out = torch.zeros(batch, h, w, dtype=torch.int64)
    for b in range(batch):
        cells = [unit(maps[b, :, n // w, n % w].double()) for n in range(h * w)]
        centres = [cells[n] for n in starts[b]]
        for _ in range(iterations):
            owners = [nearest(cell, centres) for cell in cells]
            for k in range(len(centres)):
                members = [cell for cell, owner in zip(cells, owners, strict=True) if owner == k]
                if members:
                    centres[k] = unit(sum(members))
        out[b] = torch.tensor(owners).view(h, w) + 1
    return out


def cell_extents(start: float, stop: float, count: int, flip: bool) -> list[tuple]:
    """Of each of ``count`` cells along one side the two ends in the source image, ascending."""
    start, stop = Fraction(start), Fraction(stop)
    edges = [start + (stop - start) * Fraction(n, count) for n in range(count + 1)]
    extents = list(zip(edges[:-1], edges[1:], strict=True))
    return extents[::-1] if flip else extents


def holder(centre: Fraction, extents: list[tuple]) -> int | None:
    """Which extent holds the centre; None if none does, ``BORDER`` if it is an end of one."""
    for n, (low, high) in enumerate(extents):
        if centre in (low, high):
            return BORDER
        if low < centre < high:
            return n
    return None


def carry_cells(cells: Tensor, source: tuple[Tensor, Tensor], view: tuple[Tensor, Tensor], h: int,
                w: int) -> Tensor:
    """As :func:`mmdense.models.cell_regions.carry_cells`, but ``BORDER`` where it is a tie."""
    out = torch.zeros(len(cells), h, w, dtype=torch.int64)
    for b in range(len(cells)):
        grids = []
        for (boxes, flips), rows, columns in ((view, h, w), (source, *cells.shape[1:])):
            x0, y0, x1, y1 = boxes[b].tolist()
            grids.append((cell_extents(y0, y1, rows, False),
                          cell_extents(x0, x1, columns, bool(flips[b]))))
        (view_rows, view_columns), (source_rows, source_columns) = grids
        for i, (top, bottom) in enumerate(view_rows):
            for j, (left, right) in enumerate(view_columns):
                row = holder((top + bottom) / 2, source_rows)
                column = holder((left + right) / 2, source_columns)
                if BORDER in (row, column):
                    out[b, i, j] = BORDER
                elif row is not None and column is not None:
                    out[b, i, j] = cells[b, row, column]
    return out


def standardise(maps: Tensor) -> Tensor:
    """Each channel minus its mean, over its deviation, of all images and cells (as BatchNorm)."""
    out = torch.empty_like(maps)
    for c in range(maps.shape[1]):
        values = maps[:, c]
        mean = values.sum() / values.numel()
        variance = (values - mean).square().sum() / values.numel()
        out[:, c] = (values - mean) / (variance + 1e-5).sqrt()
    return out


def soft_weights(maps: Tensor, prototypes: Tensor, temperature: float,
                 standardised: bool = True) -> Tensor:
    """Weights (B, K, h, w): each cell's softmax over its cosines to the prototypes."""
    if standardised:
        maps = standardise(maps)
    batch, _, h, w = maps.shape
    out = maps.new_zeros(batch, len(prototypes), h, w)
    for b in range(batch):
        for i in range(h):
            for j in range(w):
                logits = [torch.dot(unit(maps[b, :, i, j]), unit(prototype)) / temperature
                          for prototype in prototypes]
                total = log_of_sum(logits)
                for k, logit in enumerate(logits):
                    out[b, k, i, j] = torch.exp(logit - total)
    return out


def balance(weights: list[Tensor]) -> Tensor:
    """log K minus the entropy of the mean weight over all views (B, K, h, w), images and cells."""
    regions = weights[0].shape[1]
    entropy = 0
    for k in range(regions):
        share = sum(view[:, k].sum() for view in weights) / sum(view[:, k].numel()
                                                                for view in weights)
        entropy = entropy - (share * share.log() if share > 0 else 0)
    return math.log(regions) - entropy
