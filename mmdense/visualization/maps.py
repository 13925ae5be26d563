"""What can be seen in feature maps: matches, principal components, similarities."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def mutual_matches(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Return the cells of two maps that are each other's most similar cell.

    Args:
        first, second: (C, h, w) and (C, h', w').

    Returns:
        (n, 2) int64 cell numbers in the first and second map, most similar pair first, and their
        cosine (n,).
    """
    a, b = (F.normalize(maps.flatten(1), dim=0) for maps in (first, second))
    cosine = a.t() @ b
    forth, back = cosine.argmax(1), cosine.argmax(0)
    cells = torch.arange(len(forth), device=forth.device)
    cells = cells[back[forth] == cells]
    found = cosine[cells, forth[cells]]
    order = found.argsort(descending=True, stable=True)
    return torch.stack([cells, forth[cells]], 1)[order], found[order]


def principal_colours(maps: list[Tensor]) -> list[Tensor]:
    """Return the first three principal components of unit features as colours.

    One basis for all maps, so that a colour means the same in every image. Each component runs
    from its 2nd to its 98th percentile; its sign makes the larger part of the cells dark.

    Args:
        maps: (C, h, w) each, sizes may differ.

    Returns:
        (h, w, 3) float32 in [0, 1] each.
    """
    rows = [F.normalize(m.flatten(1).t().double(), dim=1) for m in maps]
    cells = torch.cat(rows)
    centred = cells - cells.mean(0)
    _, vectors = torch.linalg.eigh(centred.t() @ centred)
    basis = vectors[:, -3:].flip(1)
    basis = F.pad(basis, (0, 3 - basis.shape[1]))
    scores = centred @ basis
    scores = scores * torch.where(scores.pow(3).mean(0) < 0, -1, 1)
    low, high = scores.quantile(torch.tensor([0.02, 0.98], dtype=scores.dtype,
                                             device=scores.device), dim=0)
    colours = ((scores - low) / (high - low).clamp(min=1e-12)).clamp(0, 1).float()
    return [part.view(*m.shape[1:], 3)
            for part, m in zip(colours.split([len(r) for r in rows]), maps, strict=True)]


def similarity_to_cell(maps: Tensor, row: int, column: int) -> Tensor:
    """Return the cosine (h, w) of every cell of (C, h, w) with one of them."""
    unit = F.normalize(maps, dim=0)
    return torch.einsum('chw,c->hw', unit, unit[:, row, column])
