"""Segmenters of scikit-image, by name."""
from __future__ import annotations

from typing import Any

import numpy as np

from mmdense.mistakes import WrongValue

from .region_checks import check_image, compact_regions

#: names in ``skimage.segmentation`` that need nothing but an image
SEGMENTERS = ('slic', 'quickshift', 'watershed')


def skimage_regions(image: np.ndarray, name: str, **options: Any) -> np.ndarray:
    """Compute the regions of ``skimage.segmentation``'s function ``name``.

    ``watershed`` floods the gradient of the image's brightness; ``slic`` in Lab colours needs
    three channels, of which red is the first.

    Args:
        image: (H, W) or (H, W, C) uint8.
        name: one of `SEGMENTERS`.
        **options: of that function, see scikit-image.

    Returns:
        (H, W) int32, regions numbered from 1.

    Raises:
        ValueError: an unknown name, or options or an image that the function does not take.
    """
    if name not in SEGMENTERS:
        raise WrongValue(f'{name!r} is no segmenter; expected one of {", ".join(SEGMENTERS)}')
    image = check_image(image, name)
    from skimage import color, filters, segmentation  # takes a moment to import
    if image.shape[2] == 3 and name == 'watershed':
        image = filters.sobel(color.rgb2gray(image))
    elif name == 'watershed':
        image = filters.sobel(image.mean(axis=2) / 255)
    elif name == 'quickshift' and image.shape[2] != 3:
        options = dict(convert2lab=False, **options)
    try:
        regions = getattr(segmentation, name)(image, **options)
    except TypeError as reason:
        raise WrongValue(f'{name}: {reason}; got the options {options}, expected those of '
                         f'skimage.segmentation.{name}') from reason
    return compact_regions(regions - regions.min() + 1)     # some count from 0, some from 1
