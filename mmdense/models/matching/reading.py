"""What one view's map says at the cells of another view."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .geometry import cell_centres, cell_coordinates, visible_in


def read_at(maps: Tensor, boxes: tuple[Tensor, Tensor], flips: tuple[Tensor, Tensor],
            size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return a view's map at the centres of the cells of another view, and which it shows.

    Bilinear between the centres of the map's cells; beyond the outermost centres, their value.

    Args:
        maps: (B, C, h, w) of the view that is read.
        boxes: (B, 4) of the view that asks and of the one that is read, half-open source pixels.
        flips: (B,) bool of both.
        size: (h, w) of the asking view's map.

    Returns:
        (B, C, h, w) of ``size``, and (B, h*w) bool, which of its centres lie in the view that is
        read; what stands at the others is arbitrary.
    """
    centres = cell_centres(boxes[0], flips[0], *size)
    height, width = maps.shape[2:]
    places = cell_coordinates(centres, boxes[1], flips[1], height, width)
    # grid_sample's -1 and 1 are the outer edges of the outermost cells
    grid = (2 * places + 1) / torch.tensor([width, height], device=places.device) - 1
    read = F.grid_sample(maps, grid.to(maps.dtype).unflatten(1, size), padding_mode='border',
                         align_corners=False)
    return read, visible_in(centres, boxes[1])
