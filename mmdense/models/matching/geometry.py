"""Where the cells of a view lie in the source image, and where they are in another view."""
from __future__ import annotations

import torch
from torch import Tensor


def cell_centres(boxes: Tensor, flips: Tensor, h: int, w: int) -> Tensor:
    """Return the centres of the h x w cells of views, in source pixels.

    Args:
        boxes: (B, 4) float, half-open source pixels (x0, y0, x1, y1).
        flips: (B,) bool, True where the view is mirrored left to right.

    Returns:
        (B, h*w, 2) float (x, y), row by row. A pixel's own centre is at +0.5.
    """
    rows = (torch.arange(h, device=boxes.device, dtype=boxes.dtype) + 0.5) / h
    columns = (torch.arange(w, device=boxes.device, dtype=boxes.dtype) + 0.5) / w
    columns = torch.where(flips[:, None], 1 - columns, columns)                       # (B, w)
    start, extent = boxes[:, None, :2], boxes[:, None, 2:] - boxes[:, None, :2]
    grid = torch.stack([columns[:, None].expand(-1, h, -1),
                        rows[None, :, None].expand(len(boxes), -1, w)], dim=-1)
    return start + grid.flatten(1, 2) * extent


def cell_coordinates(points: Tensor, boxes: Tensor, flips: Tensor, h: int, w: int) -> Tensor:
    """Return where source points lie in the h x w cells of views, in cells.

    The inverse of :func:`cell_centres`: the centre of the cell in row i and column j is (j, i).

    Args:
        points: (B, N, 2) source pixels (x, y).
        boxes: (B, 4) half-open source pixels.
        flips: (B,) bool.

    Returns:
        (B, N, 2) float (column, row); below -0.5 or above w - 0.5, h - 0.5 outside the view.
    """
    start, extent = boxes[:, None, :2], boxes[:, None, 2:] - boxes[:, None, :2]
    x, y = ((points - start) / extent).unbind(-1)
    x = torch.where(flips[:, None], 1 - x, x)
    return torch.stack([x * w - 0.5, y * h - 0.5], dim=-1)


def visible_in(points: Tensor, boxes: Tensor) -> Tensor:
    """Return (B, N) bool: which source points (B, N, 2) lie in the half-open boxes (B, 4)."""
    return ((points >= boxes[:, None, :2]) & (points < boxes[:, None, 2:])).all(-1)
