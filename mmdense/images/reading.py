"""Read one image, whatever its kind, or say in one line what is wrong with the file."""
from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import contextmanager

import numpy as np
import tifffile
from PIL import Image

from mmdense.files import read_regular
from mmdense.mistakes import WrongValue

from .decoding import BandError, decode, image_pages, noted_shape
from .image_size import MAX_PIXELS, wrong_size

#: smallest side of an image, in pixels: below it there is nothing to crop
MIN_SIDE = 8
IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp', '.gif', '.ppm',
                  '.pgm', '.jp2', '.npy')

Range = tuple[float, float]


class ImageReadError(WrongValue):
    """An image file that cannot be used; the message names the file and what was expected."""


def _complain(path: str, expected: str) -> Callable[[str], ImageReadError]:
    return lambda what: ImageReadError(f'{path}: {what}; expected {expected}')


def _why_not(path: str, reason: OSError) -> str:
    if os.path.islink(path) and not os.path.exists(path):
        return f'is a link to {os.readlink(path)}, which is not there'
    return f'cannot be read ({reason.strerror or reason})'


def _ask_for_range(image: np.ndarray) -> str:
    """Return the setting to write if nothing says which numbers are black and white."""
    low, high = np.nanmin(image), np.nanmax(image)
    if image.dtype.kind == 'f':
        shown = f'{low:.6g}, {high:.6g}'
    elif low >= 0:      # cameras and scanners fill 8, 10, 12, … 16 bits
        shown = f'0, {2 ** int(high).bit_length() - 1}'
    else:
        shown = f'{low}, {high}'
    return (f'holds {image.dtype} numbers, here from {low:.6g} to {high:.6g}, and nothing says '
            f'which are black and white; write LoadImage(value_range=({shown})) with the range of '
            'all your images, or percentiles=(1, 99) of each image, or to_float32=True to keep '
            'the numbers (tools/check.py measures mean and std)')


def scale_values(image: np.ndarray, low: np.ndarray | float, high: np.ndarray | float,
                 to_float32: bool = False) -> np.ndarray:
    """Map ``low`` to 0 and ``high`` to 255, cut off outside, rounded to uint8 or kept as float32.

    Args:
        image: (H, W, C) of any numbers.
        low, high: of all channels, or (C,), one each; where they are equal all becomes 0.
    """
    exact = np.result_type(image.dtype, np.float32)         # int32 and float64 need more
    low, high = np.asarray(low, exact), np.asarray(high, exact)
    width = np.where(high > low, high - low, np.inf).astype(exact)
    scaled = (image - low) * (exact.type(255) / width)
    np.clip(scaled, 0, 255, out=scaled)
    return scaled.astype(np.float32) if to_float32 else np.rint(scaled).astype(np.uint8)


def read_image(path: str, channels: int = 3, value_range: Range | Sequence[Range] | None = None,
               percentiles: Range | None = None, to_float32: bool = False,
               page: int | None = None, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Return the image in ``path`` as (H, W, ``channels``), BGR where there are three.

    Numbers: uint8 by default, and then the file must hold uint8; every other type of number (int,
    uint, float of 16 to 64 bits) needs ``value_range``, ``percentiles`` or ``to_float32``.

    Bands: grey becomes three equal channels, an alpha channel is dropped, palettes are looked up,
    CMYK is converted by Pillow. The three bands of a TIFF are taken for R, G, B; other numbers of
    bands keep the file's order, as arrays do, (H, W) or (H, W, C). Pages of a TIFF are bands where
    that makes ``channels``; its overviews and masks do not count. Of an animation the first frame
    is read. The EXIF orientation is applied for one and three channels of a picture and ignored
    for others, as mmseg's ``LoadImageFromFile`` does it.

    Args:
        path: a local file; ``IMAGE_SUFFIXES`` are known, ``.npy`` by its name.
        channels: number of channels that the network takes.
        value_range: (low, high) that become 0 and 255, cut off outside; or one pair per channel.
        percentiles: (low, high) from 0 to 100: as ``value_range``, measured in each image for each
            channel. Images then differ in what their levels mean.
        to_float32: float32 instead of uint8: the file's own numbers, or, with one of the above,
            0 to 255 without rounding.
        page: which page of a TIFF, from 0, where it has several images.
        max_pixels: height times width that a file may declare; a few bytes can declare any size.

    Raises:
        ImageReadError: the file is not there, no regular file, larger than ``max_pixels``, empty,
            truncated, no image, has a side under 8 pixels, another number of channels, numbers
            without a stated range or that are not finite.
    """
    array_file = path.lower().endswith('.npy')
    kind = 'a .npy file (H, W, C)' if array_file else 'a whole image file'
    error = _complain(
        path, f'{kind} of {channels} channel(s) and at least {MIN_SIDE} pixels per side')
    try:
        data = read_regular(path)
    except OSError as reason:
        raise error(_why_not(path, reason)) from None
    if not data:
        raise error('is empty (0 bytes)')
    wrong = wrong_size(data, array_file, max_pixels)
    if wrong:
        raise error(wrong)
    try:
        image = decode(data, channels, page, array_file)
    except BandError as reason:
        raise ImageReadError(f'{path}: {reason}') from None
    if image is None:
        raise error(f'is truncated, damaged or no image ({len(data)} bytes)')
    if image.ndim != 3 or image.shape[2] not in ({1, 3} if channels == 3 else {channels}):
        raise error(f'has shape {image.shape}')
    if min(image.shape[:2]) < MIN_SIDE:
        raise error(f'is {image.shape[1]}x{image.shape[0]} pixels')
    if image.dtype != np.uint8 or value_range or percentiles or to_float32:
        image = _convert(image, path, value_range, percentiles, to_float32)
    return image if image.shape[2] == channels else np.repeat(image, channels, axis=2)


def _convert(image: np.ndarray, path: str, value_range: Range | Sequence[Range] | None,
             percentiles: Range | None, to_float32: bool) -> np.ndarray:
    if image.dtype.kind not in 'uif':
        raise ImageReadError(f'{path}: holds {image.dtype} numbers; expected whole numbers or '
                             'floats')
    if image.dtype.kind == 'f':
        wrong = image.size - np.count_nonzero(np.isfinite(image))
        if wrong:
            raise ImageReadError(f'{path}: {wrong} of {image.size} numbers are not finite (NaN or '
                                 'infinite); expected numbers only: fill them before')
    if value_range:
        low, high = np.asarray(value_range, np.float64).T
    elif percentiles:
        low, high = np.percentile(image, percentiles, axis=(0, 1))
    elif to_float32:
        return image.astype(np.float32)
    else:
        raise ImageReadError(f'{path}: {_ask_for_range(image)}')
    return scale_values(image, low, high, to_float32)


@contextmanager
def _images_of_any_size():
    # Pillow refuses above 179 megapixels even where only the header is read
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def image_size(path: str) -> tuple[int, int]:
    """Return (height, width) in pixels as the file's header says it, before its orientation.

    Raises:
        ImageReadError: the file is not there, or its header cannot be read.
    """
    try:
        if path.lower().endswith('.npy'):
            shape = np.load(path, mmap_mode='r', allow_pickle=False).shape
        elif path.lower().endswith(('.tif', '.tiff')):
            with tifffile.TiffFile(path) as tiff:
                page = image_pages(tiff)[0]
                shape = noted_shape(tiff) or (page.imagelength, page.imagewidth)
        else:
            with _images_of_any_size(), Image.open(path) as image:
                shape = image.size[::-1]
        height, width = shape[:2]
    except (OSError, ValueError, SyntaxError, EOFError, IndexError) as reason:
        # Pillow's own errors are OSErrors without a number
        missing = isinstance(reason, OSError) and reason.errno is not None
        what = _why_not(path, reason) if missing else 'is truncated, damaged or no image'
        raise ImageReadError(f'{path}: {what}; expected an image') from None
    return int(height), int(width)


def _check_ranges(channels: int, value_range: Range | Sequence[Range] | None,
                  percentiles: Range | None) -> None:
    """Raise ValueError if a range is not valid."""
    if value_range and percentiles:
        raise WrongValue(f'LoadImage: value_range={value_range} and percentiles={percentiles}; '
                         'expected one of them')
    for name, value, count in (('value_range', value_range, channels),
                               ('percentiles', percentiles, 1)):
        if value is None:
            continue
        try:
            pairs = np.asarray(value, np.float64).reshape(-1, 2)
            fits = len(pairs) in (1, count) and bool((pairs[:, 0] < pairs[:, 1]).all())
        except (TypeError, ValueError):
            fits = False
        if fits and name == 'percentiles':
            fits = bool(pairs.min() >= 0 and pairs.max() <= 100)
        if not fits:
            among = ' from 0 to 100' if name == 'percentiles' else ', or one pair for each of ' \
                f'the {channels} channels'
            raise WrongValue(f'LoadImage: {name}={value!r}; expected (low, high), low below high'
                             + among)


def check_options(channels: int = 3, value_range: Range | Sequence[Range] | None = None,
                  percentiles: Range | None = None, to_float32: bool = False,
                  page: int | None = None, max_pixels: int = MAX_PIXELS) -> None:
    """Raise ``ValueError`` unless :func:`read_image` can be called with these settings."""
    if not isinstance(channels, int) or channels < 1:
        raise WrongValue(f'LoadImage: channels={channels!r}; expected a whole number from 1')
    if page is not None and (not isinstance(page, int) or page < 0):
        raise WrongValue(f'LoadImage: page={page!r}; expected None or a whole number from 0')
    if not isinstance(max_pixels, int) or max_pixels < 1:
        raise WrongValue(f'LoadImage: max_pixels={max_pixels!r}; expected a whole number from '
                         '1')
    _check_ranges(channels, value_range, percentiles)
