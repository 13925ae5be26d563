"""Which cell of a map a pixel is in: the one that holds the pixel's centre."""
from __future__ import annotations

import torch
from torch import Tensor


def cell_of_pixels(pixels: int, cells: int, device: torch.device) -> Tensor:
    """Return (pixels,) the cell, of ``cells`` of equal length, that holds each pixel's centre."""
    return (2 * torch.arange(pixels, device=device) + 1) * cells // (2 * pixels)


def at_pixels(cells: Tensor, size: tuple[int, int]) -> Tensor:
    """Return (H, W), of ``size``: each pixel has what its cell, of cells (h, w), has."""
    rows, columns = (cell_of_pixels(pixels, count, cells.device)
                     for pixels, count in zip(size, cells.shape, strict=True))
    return cells[rows[:, None], columns]
