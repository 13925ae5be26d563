"""How large an image is by its header, before a byte of it is decoded."""
from __future__ import annotations

import io
import re
from typing import IO

import numpy as np
import tifffile
from PIL import Image

from mmdense.mistakes import WrongValue

from .decoding import TIFF_STARTS

#: pixels of an image, unless LoadImage says more: 100 megapixels, 300 MB as colours of 8 bits
MAX_PIXELS = 100_000_000


def read_array_header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    """Return shape and type of the array of a ``.npy`` file; raises whatever numpy does."""
    version = np.lib.format.read_magic(stream)
    read = (np.lib.format.read_array_header_1_0 if version == (1, 0)
            else np.lib.format.read_array_header_2_0)
    shape, _, kind = read(stream)
    return shape, kind


def array_header(data: bytes) -> tuple[tuple[int, ...], np.dtype, int]:
    """Return shape and type of a ``.npy`` file's array, and the bytes that it has for it.

    Raises:
        ValueError: it has no such header.
    """
    stream = io.BytesIO(data)
    try:
        shape, kind = read_array_header(stream)
    except Exception as error:      # numpy evaluates the header: any kind of error
        reason = str(error).partition(';')[0][:100]
        raise WrongValue(f'is truncated, damaged or no image: broken header ({reason})') from None
    if any(length < 0 for length in shape):
        raise WrongValue(f'is damaged or no image: declares the shape {shape}')
    return shape, kind, len(data) - stream.tell()


def declared_pixels(data: bytes, array_file: bool = False) -> int | None:
    """Return height times width as an image's header says; None where only a decoder knows.

    Args:
        data: the whole file.
        array_file: whether it is a ``.npy`` file, (H, W) or (H, W, C).

    Raises:
        ValueError: an array whose header is broken, or says more bytes than there are.
    """
    if array_file:
        shape, kind, there = array_header(data)
        needed = int(np.prod(shape, dtype=object)) * kind.itemsize
        if not kind.hasobject and needed > there:
            raise WrongValue(f'is truncated, damaged or no image: declares an array {shape} of '
                             f'{kind}, {needed:,} bytes, and has {there:,}')
        return int(np.prod(shape[:2], dtype=object))
    try:
        if data[:4] in TIFF_STARTS:
            with tifffile.TiffFile(io.BytesIO(data)) as tiff:       # any page may be asked for
                return max(page.imagelength * page.imagewidth for page in tiff.pages)
        with Image.open(io.BytesIO(data)) as image:
            return image.width * image.height
    except Image.DecompressionBombError as error:   # Pillow looks first, too
        return int(re.search(r'\d+', str(error))[0])
    except Exception:       # another format, or a broken file: the decoder says so
        return None


def wrong_size(data: bytes, array_file: bool, max_pixels: int) -> str | None:
    """Return what is wrong with the size in an image's header, which decoding would take; or None.

    It is larger than ``max_pixels``, or an array's header is broken.
    """
    try:
        pixels = declared_pixels(data, array_file)
    except ValueError as error:
        return str(error)
    if pixels is None or pixels <= max_pixels:
        return None
    return (f'declares {pixels:,} pixels in {len(data):,} bytes, more than {max_pixels:,} '
            '(LoadImage(max_pixels=…))')
