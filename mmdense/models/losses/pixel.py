"""Consistency of the cells of two views that show the same place (PixPro, 2011.10043)."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mmdense.mistakes import WrongValue

from ..matching.geometry import cell_distances


def pixel_consistency(query: Tensor, target: Tensor, boxes_q: Tensor, boxes_k: Tensor,
                      flips_q: Tensor, flips_k: Tensor, threshold: float = 0.7,
                      anchor: float = 0.5) -> Tensor:
    """Return minus twice the mean over images of the mean cosine of their pairs of cells.

    One direction of PixPro's loss (eq. 4), from -2 to 2, in float32 also under autocast. A pair are
    two cells nearer than ``threshold``. An image without pairs counts as 0.

    Args:
        query, target: (B, C, h, w) and (B, C, h', w'); normalised here.
        boxes_q, boxes_k: (B, 4) x0 y0 x1 y1, half-open source pixels (or fractions of the image's
            axes, as the published program has it).
        flips_q, flips_k: (B,) bool, True where the view is mirrored left to right.
        threshold: in larger cell diagonals of the two views.
        anchor: as of :func:`~mmdense.models.matching.cell_centres`.

    Raises:
        ValueError: batch or channels differ.
    """
    if query.shape[:2] != target.shape[:2]:
        raise WrongValue(f'query {tuple(query.shape)} and target {tuple(target.shape)} differ in '
                         'batch or channels')
    sizes = tuple(query.shape[2:]), tuple(target.shape[2:])
    near = cell_distances((boxes_q, boxes_k), (flips_q, flips_k), sizes, anchor) < threshold
    return consistency_of_pairs(query, target, near)


def consistency_of_pairs(query: Tensor, target: Tensor, near: Tensor) -> Tensor:
    """Return :func:`pixel_consistency` of pairs that are known.

    Args:
        query, target: (B, C, h, w) and (B, C, h', w'); normalised here.
        near: (B, N, M) bool, which cells are pairs.
    """
    with torch.autocast(query.device.type, enabled=False):
        dtype = torch.promote_types(query.dtype, torch.float32)
        unit, other = (F.normalize(maps.flatten(2).to(dtype), dim=1) for maps in (query, target))
        # the pairs' sum of cosines: what each query cell's partners add up to, times the cell
        partners = other @ near.transpose(1, 2).to(dtype)                       # (B, C, N)
        cosines = (unit * partners).sum((1, 2)) / (near.sum((1, 2)) + 1e-6)
        return -2 * cosines.mean()


def pixel_contrast(query: Tensor, target: Tensor, near: Tensor, temperature: float = 0.3
                   ) -> Tensor:
    """Return the mean over images of the mean over cells of -log(near / all), from exp(cos / T).

    One direction of PixContrast (2011.10043, eq. 2): positives of a cell are the near cells of the
    other view of its image, negatives its far ones. A cell without a positive does not count, an
    image without any pair counts as 0. In float32 also under autocast; B N M similarities are made.

    Args:
        query, target: (B, C, h, w) and (B, C, h', w'); normalised here.
        near: (B, N, M) bool, which cells are pairs.
        temperature: T.

    Raises:
        ValueError: shapes do not fit, or a temperature of 0 or below.
    """
    cells = (len(query), query.shape[2:].numel(), target.shape[2:].numel())
    if query.shape[:2] != target.shape[:2] or near.shape != cells or not temperature > 0:
        raise WrongValue(f'pixel_contrast of {tuple(query.shape)} and {tuple(target.shape)} with '
                         f'pairs {tuple(near.shape)} at temperature {temperature}; expected the '
                         f'same batch and channels, pairs {cells}, and a temperature above 0')
    with torch.autocast(query.device.type, enabled=False):
        dtype = torch.promote_types(query.dtype, torch.float32)
        unit, other = (F.normalize(maps.flatten(2).to(dtype), dim=1) for maps in (query, target))
        alike = unit.transpose(1, 2) @ other / temperature
        counts = near.any(2)
        # a row without a positive takes all as such, which is 0 and has no gradient
        pulled = alike.masked_fill(~(near | ~counts[:, :, None]), -torch.inf).logsumexp(2)
        rows = (alike.logsumexp(2) - pulled).masked_fill(~counts, 0)
        return (rows.sum(1) / counts.sum(1).clamp_min(1)).mean()
