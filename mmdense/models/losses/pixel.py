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
    with torch.autocast(query.device.type, enabled=False):
        dtype = torch.promote_types(query.dtype, torch.float32)
        unit, other = (F.normalize(maps.flatten(2).to(dtype), dim=1) for maps in (query, target))
        # the pairs' sum of cosines: what each query cell's partners add up to, times the cell
        partners = other @ near.transpose(1, 2).to(dtype)                       # (B, C, N)
        cosines = (unit * partners).sum((1, 2)) / (near.sum((1, 2)) + 1e-6)
        return -2 * cosines.mean()
