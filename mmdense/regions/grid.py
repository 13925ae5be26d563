"""Regions that know nothing of the image: a regular grid."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmdense.mistakes import WrongValue

from .region_checks import check_image


def grid_shape(cells: int | Sequence[int]) -> tuple[int, int]:
    """Return (rows, columns) of a grid.

    Raises:
        ValueError: ``cells`` is neither a whole number from 1, nor two of them.
    """
    try:
        rows, columns = (cells, cells) if np.ndim(cells) == 0 else cells
        if int(rows) == rows >= 1 and int(columns) == columns >= 1:
            return int(rows), int(columns)
    except (TypeError, ValueError, OverflowError):
        pass
    raise WrongValue(f'grid: cells={cells!r}; expected a whole number from 1, or two of them '
                     '(rows, columns)')


def grid_regions(image: np.ndarray, cells: int | Sequence[int] = 5) -> np.ndarray:
    """Compute a grid of equal cells, DetCon's spatial heuristic.

    Args:
        image: (H, W) or (H, W, C) uint8; only its size is used.
        cells: n for n x n cells, or (rows, columns).

    Returns:
        (H, W) int32, cells numbered from 1 in reading order.

    Raises:
        ValueError: ``cells`` is no such number, or above the image's pixels.
    """
    height, width = check_image(image, 'grid').shape[:2]
    rows, columns = grid_shape(cells)
    if rows > height or columns > width:
        raise WrongValue(f'grid: cells={cells!r} in an image of {width}x{height} pixels; expected '
                         'at most one cell per pixel')
    down = np.arange(height) * rows // height
    across = np.arange(width) * columns // width
    return (down[:, None] * columns + across + 1).astype(np.int32)
