"""PixPro's propagation and PixContrast's loss as slow float64 loops (2011.10043, eq. 1 to 3)."""
from __future__ import annotations

import math

import torch

from references.densecl import unit
from references.geometry import distances


def propagate(cells, values, gamma):
    """What each cell (D, N) becomes: the sum of all cells' unit values (D, N) by likeness."""
    count = cells.shape[1]
    return torch.stack([
        sum(max(float(unit(cells[:, i]) @ unit(cells[:, j])), 0) ** gamma * unit(values[:, j])
            for j in range(count)) for i in range(count)], 1)


def pairs_of(boxes, flips, sizes, threshold, extents=None):
    """[b][n][m] whether two cells are a pair; extents (H, W) make fractions of boxes."""
    found = []
    for b in range(len(boxes[0])):
        two = [box[b].tolist() for box in boxes]
        if extents is not None:
            high, wide = extents[b].tolist()
            two = [[x0 / wide, y0 / high, x1 / wide, y1 / high] for x0, y0, x1, y1 in two]
        far = distances(two, [flip[b].item() for flip in flips], sizes)
        found.append([[value < threshold for value in row] for row in far])
    return found


def consistency(cells, targets, pairs):
    """Minus twice the mean over images of the mean cosine of pairs; (B, D, N) and (B, D, M)."""
    total = 0.0
    for b, rows in enumerate(pairs):
        cosines = [float(unit(cells[b, :, n].double()) @ unit(targets[b, :, m].double()))
                   for n, row in enumerate(rows) for m, pair in enumerate(row) if pair]
        total += sum(cosines) / (len(cosines) + 1e-6)
    return -2 * total / len(pairs)


def contrast(cells, targets, pairs, temperature):
    """The mean over images of the mean over cells with a positive; (B, D, N) and (B, D, M)."""
    total = 0.0
    for b, rows in enumerate(pairs):
        losses = []
        for n, row in enumerate(rows):
            if any(row):
                terms = [math.exp(float(unit(cells[b, :, n].double())
                                        @ unit(targets[b, :, m].double())) / temperature)
                         for m in range(len(row))]
                pulled = sum(term for term, pair in zip(terms, row, strict=True) if pair)
                losses.append(-math.log(pulled / sum(terms)))
        total += sum(losses) / max(len(losses), 1)
    return total / len(pairs)
