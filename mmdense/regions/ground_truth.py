"""Regions from labels: semantic maps, where a class is a region, and instance maps."""
from __future__ import annotations

import numpy as np

from .region_checks import check_ids, compact_regions


def semantic_regions(labels: np.ndarray, ignore_index: int | None = 255,
                     background: int | None = None) -> np.ndarray:
    """Compute regions from class numbers: each class present is a region.

    Args:
        labels: (H, W) class numbers; 0 is a class.
        ignore_index: the number that becomes 0, no region.
        background: a class that becomes 0, too; by default none does.

    Returns:
        (H, W) int32; a pixel of class c has id c + 1, so that an id means the same in all images.

    Raises:
        ValueError: ``labels`` is not (H, W) of whole numbers from 0.
    """
    check_ids(labels, 'class numbers')
    regions = labels.astype(np.int32) + 1
    for number in (ignore_index, background):
        if number is not None:
            regions[labels == number] = 0
    return regions


def instance_regions(instances: np.ndarray, ignore_index: int | None = None) -> np.ndarray:
    """Compute regions 1..K from instance ids (H, W) of any size; 0 is no instance, no region.

    Args:
        instances: (H, W) whole numbers.
        ignore_index: an id that becomes 0, such as the 255 of VOC's object maps.
    """
    if ignore_index is not None:
        instances = np.where(instances == ignore_index, 0, instances)
    return compact_regions(instances)
