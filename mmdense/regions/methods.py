"""Region methods by name, and the check of their options."""
from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from mmdense.mistakes import WrongValue

from .felzenszwalb import felzenszwalb
from .grid import grid_regions, grid_shape
from .skimage_segmenters import SEGMENTERS, skimage_regions

#: method by name: from an image (H, W, C) uint8, RGB where C is 3, to region ids (H, W) int32
METHODS: dict[str, Callable[..., np.ndarray]] = {
    'fh': felzenszwalb, 'grid': grid_regions,
    **{name: partial(skimage_regions, name=name) for name in SEGMENTERS}}


def _known_options(method: str, options: dict[str, Any]) -> dict[str, Any]:
    """Return the method's options with their defaults; none of scikit-image's, which has its own.

    Raises:
        ValueError: an unknown method or option.
    """
    if method not in METHODS:
        raise WrongValue(f'region method {method!r}; expected one of {", ".join(METHODS)}')
    if method in SEGMENTERS:
        return {}                       # skimage_regions looks for itself
    known = {name: parameter.default
             for name, parameter in inspect.signature(METHODS[method]).parameters.items()
             if name != 'image'}
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise WrongValue(f'region method {method!r} has no option {", ".join(unknown)}; '
                         f'expected some of {", ".join(known)}')
    return known


def resolve_options(method: str, options: dict[str, Any]) -> dict[str, Any]:
    """Return ``options`` with the method's defaults, so that equal settings are equal dicts.

    Raises:
        ValueError: an unknown method or option, or a value that it does not take.
    """
    options = {**_known_options(method, options), **options}
    # a wrong value is told before the first image; fh is compiled here, before workers are forked
    if method == 'grid':
        grid_shape(options['cells'])    # how many fit is the image's affair
    else:
        side = 64 if method in SEGMENTERS else 512
        make_regions(np.zeros((side, side, 3), np.uint8), method, **options)
    return options


def make_regions(image: np.ndarray, method: str = 'fh', **options: Any) -> np.ndarray:
    """Compute the regions (H, W) int32 of an image (H, W, C) uint8, RGB where C is 3.

    Args:
        image: (H, W) or (H, W, C) uint8.
        method: a name in `METHODS`.
        **options: of that method.

    Raises:
        ValueError: an unknown method or option, a value that it does not take, or no such image.
    """
    _known_options(method, options)
    return METHODS[method](image, **options)
