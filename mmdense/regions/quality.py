"""How well regions fit the regions that people drew."""
from __future__ import annotations

import cv2
import numpy as np

from .region_checks import compact_regions


def boundaries(regions: np.ndarray) -> np.ndarray:
    """Return (H, W) bool, True where the right or the lower neighbour has another id."""
    edges = np.zeros(regions.shape, bool)
    edges[:, :-1] = regions[:, 1:] != regions[:, :-1]
    edges[:-1] |= regions[1:] != regions[:-1]
    return edges


def boundary_recall(regions: np.ndarray, human: np.ndarray, tolerance: float = 2.0) -> float:
    """Return the share of ``human``'s boundary with one of ``regions`` at most this far away.

    1 where ``human`` has no boundary. Swap the two for the precision.

    Args:
        regions, human: (H, W) ids.
        tolerance: in pixels, Euclidean.
    """
    found, wanted = boundaries(regions), boundaries(human)
    if not wanted.any():
        return 1.0
    if not found.any():
        return 0.0
    distance = cv2.distanceTransform((~found).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return float((distance[wanted] <= tolerance).mean())


def overlap_areas(regions: np.ndarray, human: np.ndarray) -> np.ndarray:
    """Return areas (R, K): pixels of each region in each human region; human 0 is left out."""
    a, b = compact_regions(regions), compact_regions(human)
    valid = b > 0
    columns = int(b.max(initial=0))
    pairs = a[valid].astype(np.int64) * columns + b[valid] - 1
    return np.bincount(pairs, minlength=(int(a.max(initial=0)) + 1) * columns).reshape(-1, columns)


def achievable_accuracy(regions: np.ndarray, human: np.ndarray) -> float:
    """Return the share of pixels right if each region takes its most frequent human region.

    Known as achievable segmentation accuracy; it only grows as regions are split. ``regions`` 0
    is nothing's region and never right.
    """
    areas = overlap_areas(regions, human)
    return float(areas[1:].max(axis=1).sum() / areas.sum()) if areas.sum() else 1.0


def covering(regions: np.ndarray, human: np.ndarray) -> float:
    """Return the mean over pixels of the best IoU of their human region with any region.

    BSDS's segmentation covering: it falls where regions are too small as where they are too large.
    """
    areas = overlap_areas(regions, human).astype(np.float64)
    if not areas.sum():
        return 1.0
    union = areas.sum(1, keepdims=True) + areas.sum(0) - areas
    best = (areas / np.maximum(union, 1))[1:].max(axis=0, initial=0)
    return float((best * areas.sum(0)).sum() / areas.sum())
