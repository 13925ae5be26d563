"""Checks that all region methods share, and the renumbering of their ids."""
from __future__ import annotations

from numbers import Integral, Real

import numpy as np

from mmdense.mistakes import WrongValue


def check_image(image: np.ndarray, method: str) -> np.ndarray:
    """Return ``image`` as (H, W, C).

    Raises:
        ValueError: it is not uint8, has no pixels, or has another number of axes than 2 or 3.
    """
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or 0 in image.shape:
        raise WrongValue(f'{method}: an image of shape {image.shape} and type {image.dtype}; '
                         'expected (H, W) or (H, W, C) of uint8')
    return image if image.ndim == 3 else image[..., None]


def pixels_of(size: int | float, area: int, name: str) -> int:
    """Return a size in pixels: an int is one already, a float in (0, 1) is a share of ``area``.

    Raises:
        ValueError: it is neither.
    """
    if isinstance(size, Integral) and not isinstance(size, bool) and size >= 0:
        return int(size)
    if isinstance(size, Real) and 0 < size < 1:
        return max(1, round(size * area))
    raise WrongValue(f'{name}={size!r}; expected pixels (a whole number from 0), or a share of the '
                     "image's area (a float between 0 and 1)")


def check_ids(ids: np.ndarray, name: str) -> None:
    """Raise ``ValueError`` unless ``ids`` is (H, W) of whole numbers from 0."""
    if ids.ndim != 2 or ids.dtype.kind not in 'iub':
        raise WrongValue(f'{name} of shape {ids.shape} and type {ids.dtype}; expected (H, W) of '
                         'whole numbers')
    if ids.dtype.kind == 'i' and ids.size and ids.min() < 0:
        raise WrongValue(f'{name}: {ids.min()} among them; expected whole numbers from 0')


def compact_regions(regions: np.ndarray) -> np.ndarray:
    """Renumber ids (H, W), of any size, as 1..K in ascending order; 0, no region, stays.

    Returns:
        (H, W) int32.

    Raises:
        ValueError: the ids are no whole numbers, are not (H, W), or some are negative.
    """
    check_ids(regions, 'region ids')
    if regions.size and regions.max() < 2 ** 20:
        present = np.bincount(regions.ravel().astype(np.int64)) > 0     # far cheaper than sorting
        present[0] = False
        return (np.cumsum(present) * present).astype(np.int32)[regions.astype(np.int64)]
    ids, places = np.unique(regions, return_inverse=True)
    start = 0 if ids.size and ids[0] == 0 else 1
    return (places.reshape(regions.shape) + start).astype(np.int32)
