"""Numbers that tell early whether features collapse and whether they know where they are.

Those of feature maps return a scalar float32 tensor; nan where there is nothing to measure,
and of features that are not finite.
"""
from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mmdense.models.matching.geometry import cell_centres, cell_coordinates, visible_in
from mmdense.structures import Views

#: rows that the effective rank looks at, evenly taken: its cost grows with their cube
RANK_ROWS = 1024
#: cells, of all images together, that rank and spread are taken from (one of each image at least)
CELLS = 16_384


def _in_float32(function: Callable) -> Callable:
    """Switch autocast off inside, which would cast the factors of a product back."""
    @functools.wraps(function)
    def plain(first: Tensor, *args, **kwargs):
        with torch.autocast(first.device.type, enabled=False):
            return function(first, *args, **kwargs)
    return plain


def _cells(maps: Tensor) -> Tensor:
    """Unit vectors (B, h*w, C) of the cells of (B, C, h, w)."""
    return F.normalize(maps.flatten(2).transpose(1, 2).float(), dim=2)


def feature_std(maps: Tensor) -> Tensor:
    """Return the standard deviation of unit features over cells, mean over channels, times √C.

    1 = spread evenly over the sphere, 0 = collapsed to a point (SimSiam, 2011.10566, section 4).

    Args:
        maps: (B, C, h, w).
    """
    cells = _cells(maps).flatten(0, 1)
    return cells.std(dim=0, correction=0).mean() * cells.shape[1] ** 0.5


def effective_rank(maps: Tensor) -> Tensor:
    """Return exp of the entropy of the singular values of centred cells (Roy, Vetterli 2007).

    From 1 (one direction) to min(cells - 1, C); 0 where all cells are equal.

    Args:
        maps: (B, C, h, w); of more than 1024 cells evenly chosen ones are looked at.
    """
    rows = maps.flatten(2).transpose(1, 2).flatten(0, 1).double()
    rows = rows[::-(-len(rows) // RANK_ROWS)]
    if not rows.isfinite().all():        # the eigenvalues of nan are an error
        return rows.new_full((), torch.nan, dtype=torch.float32)
    rows = rows - rows.mean(0)
    gram = rows @ rows.t() if len(rows) < rows.shape[1] else rows.t() @ rows
    singular = torch.linalg.eigvalsh(gram).clamp(min=0).sqrt()
    # what double precision leaves of a zero is no direction
    singular = singular.where(singular > 1e-6 * singular.max(), 0)
    if singular.max() <= 1e-12:
        return singular.new_zeros((), dtype=torch.float32)
    share = singular / singular.sum()
    return torch.special.entr(share).sum().exp().float()


def draw_cells(maps: Tensor, images: int, number: int, seed: int = 0) -> Tensor:
    """Return image ``number``'s part of the ``CELLS`` of ``images`` images, as rows (n, C).

    Drawn from its map (C, h, w); the global random state is neither read nor changed.
    """
    cells = maps.flatten(1).t()
    generator = torch.Generator().manual_seed(seed * 1_000_003 + number)
    order = torch.randperm(len(cells), generator=generator)[:max(1, CELLS // images)]
    return cells[order.to(cells.device)]


def spread(cells: Tensor, seed: int = 0) -> dict[str, float]:
    """Return ``effective_rank`` and ``feature_std`` of cells (N, C); nan if not all are finite."""
    if not cells.isfinite().all():
        return dict(effective_rank=math.nan, feature_std=math.nan)
    # the rank looks at evenly chosen ones: no period of the images may show in it
    order = torch.randperm(len(cells), generator=torch.Generator().manual_seed(seed))
    maps = cells[order.to(cells.device)].t()[None, :, None]
    return dict(effective_rank=float(effective_rank(maps)), feature_std=float(feature_std(maps)))


def spread_of(maps: Sequence[Tensor], seed: int = 0) -> dict[str, float]:
    """Return :func:`spread` of cells of all maps (C, h, w), an equal part of each."""
    return spread(torch.cat([draw_cells(one, len(maps), number, seed)
                             for number, one in enumerate(maps)]), seed)


def places_in_second_view(views: Views, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Return where the first view's cells lie in the second, in cells, and which are in it.

    Args:
        views: of at least two views.
        first, second: their maps (B, C, h, w), (B, C, h', w').
    """
    batch = len(first)
    (first_box, second_box), (first_flip, second_flip) = (views.boxes[:2, :batch],
                                                          views.flips[:2, :batch])
    points = cell_centres(first_box, first_flip, *first.shape[2:])
    places = cell_coordinates(points, second_box, second_flip, *second.shape[2:])
    return places, visible_in(points, second_box)


@_in_float32
def positive_negative_similarity(first: Tensor, second: Tensor, places: Tensor,
                                 visible: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean cosine of cells at the same place, and of cells of different images.

    Args:
        first: (B, C, h, w) one view.
        second: (B, C, h', w') the other view.
        places: (B, h*w, 2) where the first view's cells lie in the second, in its cells
            (column, row), as :func:`~mmdense.models.matching.geometry.cell_coordinates` says.
        visible: (B, h*w) bool, whether they lie in it at all.
    """
    height, width = second.shape[2:]
    a, b = _cells(first), _cells(second)
    column, row = places.round().long().unbind(-1)
    index = row.clamp(0, height - 1) * width + column.clamp(0, width - 1)
    cosine = (a * b.gather(1, index[..., None].expand(-1, -1, b.shape[2]))).sum(2)
    positive = cosine[visible].mean()
    # the mean over all pairs of cells of two images is the product of the images' means
    means = a.mean(1) @ b.mean(1).t()
    batch = len(means)
    negative = (means.sum() - means.trace()) / (batch * (batch - 1) or torch.nan)
    return positive, negative


@_in_float32
def correspondence_accuracy(first: Tensor, second: Tensor, places: Tensor, visible: Tensor,
                            tolerance: float = 1.0) -> Tensor:
    """Return the share of visible cells whose most similar cell is near the true place.

    Args:
        first, second, places, visible: as of :func:`positive_negative_similarity`.
        tolerance: largest distance from the true place to the best cell's centre, in cells of
            the second view.
    """
    width = second.shape[3]
    highest, best = torch.bmm(_cells(first), _cells(second).transpose(1, 2)).max(2)
    centres = torch.stack([best % width, best.div(width, rounding_mode='floor')], dim=-1)
    near = ((centres - places).norm(dim=-1) <= tolerance + 1e-4).float()
    return near.where(highest.isfinite(), torch.nan)[visible].mean()     # nan is near nothing
