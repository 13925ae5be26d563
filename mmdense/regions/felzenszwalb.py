"""Felzenszwalb and Huttenlocher's graph-based segmentation, compiled."""
from __future__ import annotations

import math
from numbers import Real

import cv2
import numpy as np

from mmdense.mistakes import WrongValue

from .region_checks import check_image, pixels_of


def _blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Blur (H, W, C) float64 as scipy does: cut off at four sigma, mirrored at the border."""
    radius = int(4 * sigma + 0.5)
    if radius < 1:
        return image
    steps = np.arange(-radius, radius + 1)
    kernel = np.exp(-0.5 * (steps / sigma) ** 2)
    kernel /= kernel.sum()
    # cv2 filters any number of channels up to CV_CN_MAX, and drops the axis of a single one
    blurred = cv2.sepFilter2D(image, -1, kernel, kernel, borderType=cv2.BORDER_REFLECT)
    return blurred.reshape(image.shape)


def felzenszwalb(image: np.ndarray, scale: float = 1000, sigma: float = 0.8,
                 min_size: int | float = 1000) -> np.ndarray:
    """Compute Felzenszwalb-Huttenlocher regions, the partition of ``skimage.segmentation``.

    Pixels are merged along the edges of the 8-connected grid, the most alike first, while the edge
    is below each side's largest merged edge plus ``scale / 255 / area``; regions below
    ``min_size`` are then merged into what is most alike.

    Args:
        image: (H, W) or (H, W, C) uint8; the order of the channels does not matter.
        scale: larger makes larger regions.
        sigma: standard deviation of the blur before it, in pixels; 0 for none.
        min_size: least area of a region: pixels (int), or a share of the image (float in (0, 1)).

    Returns:
        (H, W) int32, regions numbered from 1 in reading order.

    Raises:
        ValueError: an image that is not uint8 or has no pixels, or an option out of its range.
    """
    image = check_image(image, 'felzenszwalb')
    for name, value in (('scale', scale), ('sigma', sigma)):
        if not (isinstance(value, Real) and math.isfinite(value) and value >= 0):
            raise WrongValue(f'felzenszwalb: {name}={value!r}; expected a number from 0')
    area = pixels_of(min_size, image.shape[0] * image.shape[1], 'felzenszwalb: min_size')
    from .felzenszwalb_kernel import MAX_PIXELS, partition  # numba takes a second to import
    height, width = image.shape[:2]
    if height * width >= MAX_PIXELS:
        raise WrongValue(f'felzenszwalb: an image of {width}x{height}; expected fewer than '
                         f'{MAX_PIXELS} pixels')
    blurred = _blur(np.ascontiguousarray(image) / 255.0, float(sigma))
    return partition(blurred, scale / 255.0, area).reshape(height, width)
