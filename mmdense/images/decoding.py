"""From the bytes of an image file to an array of its own numbers (H, W, bands)."""
from __future__ import annotations

import io
import zlib
from collections.abc import Sequence

import cv2
import numpy as np
import tifffile
from PIL import Image, ImageOps

from mmdense.mistakes import WrongValue

_FRAMES_WITHOUT_SIZE = (0xC4, 0xC8, 0xCC)   # among C0..CF: tables, not start of frame
JPEG_START, PNG_START = b'\xff\xd8\xff', b'\x89PNG\r\n\x1a\n'
PNG_END = b'IEND\xaeB`\x82'
TIFF_STARTS = (b'II*\0', b'MM\0*', b'II+\0', b'MM\0+')
#: what a file that is not what its header says makes tifffile raise
_TIFF_ERRORS = (tifffile.TiffFileError, ValueError, OSError, KeyError, IndexError, TypeError,
                zlib.error, MemoryError, ImportError)


class BandError(WrongValue):
    """The file is whole, but does not hold what was asked for; the message says what it holds."""


def _jpeg_state(data: bytes) -> tuple[int, bool]:
    """Return (number of colour components, whether the end of the image is there)."""
    components, at = 0, 2
    while 0 <= at < len(data) - 4:
        marker = data[at + 1]
        if data[at] != 0xFF or marker == 0xFF:              # garbage or fill bytes
            at = data.find(b'\xff', at + 1)
            continue
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:        # markers without a segment
            at += 2
            continue
        end = at + 2 + int.from_bytes(data[at + 2:at + 4], 'big')
        if 0xC0 <= marker <= 0xCF and marker not in _FRAMES_WITHOUT_SIZE:
            components = data[at + 9] if at + 9 < len(data) else 0
        if marker == 0xDA:      # the scan; a thumbnail's end, if any, lies before it
            return components, data.endswith(b'\xff\xd9') or data.find(b'\xff\xd9', end) >= 0
        at = end
    return components, False


def _decode_with_pillow(data: bytes, channels: int) -> np.ndarray | None:
    try:
        image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
        if image.mode[0] in 'IF':       # a conversion would clip, not scale
            return None
        image = image.convert('L' if channels == 1 else 'RGB')
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    pixels = np.asarray(image)
    return pixels[..., None] if channels == 1 else np.ascontiguousarray(pixels[..., ::-1])


def _decode_picture(data: bytes, channels: int) -> np.ndarray | None:
    """Decode by OpenCV, or Pillow: grey, colour and alpha become ``channels``, BGR."""
    flag = {1: cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH,
            3: cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH}.get(channels, cv2.IMREAD_UNCHANGED)
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
    except cv2.error:
        image = None
    if image is None:
        return _decode_with_pillow(data, channels) if channels in (1, 3) else None
    return image if image.ndim == 3 else image[..., None]


def image_pages(tiff: tifffile.TiffFile) -> list[tifffile.TiffPage]:
    """Return the pages of a TIFF file that are images: no overviews, no masks."""
    pages = [page.aspage() for page in tiff.pages]
    return [page for page in pages if not (page.is_reduced or page.is_mask)] or pages[:1]


def noted_shape(tiff: tifffile.TiffFile) -> tuple[int, int, int] | None:
    """Return (H, W, bands) of an array that tifffile wrote row by row, or None.

    ``tifffile.imwrite`` of (H, W, bands) without ``planarconfig`` makes H pages of (W, bands), and
    notes the shape.
    """
    if not tiff.is_shaped or len(tiff.series) != 1 or len(tiff.pages) < 2:
        return None
    shape = tiff.series[0].shape
    return shape if len(shape) == 3 and shape[2] < min(shape[:2]) else None


def _choose_pages(pages: Sequence[tifffile.TiffPage], channels: int,
                  page: int | None) -> Sequence[tifffile.TiffPage]:
    """Return the pages to read: page ``page``, or all whose bands make ``channels``."""
    count = len(pages)
    if page is not None:
        if page >= count:
            raise BandError(f'has {count} page(s), the first is 0, but page={page} is asked for')
        return pages[page:page + 1]
    one = f'choose one with page=0 to page={count - 1}'
    kinds = sorted({f'{page.shape} {page.dtype}' for page in pages})
    if len(kinds) > 1:
        raise BandError(f'has {count} pages of different kinds ({", ".join(kinds[:3])}); {one}')
    bands = count * pages[0].samplesperpixel
    if count > 1 and bands != channels:
        raise BandError(f'has {count} pages of {pages[0].samplesperpixel} band(s); {one}, or take '
                        f'all as bands with channels={bands}')
    return pages


def _is_alpha(page: tifffile.TiffPage) -> bool:
    """Whether the fourth band of a colour page is alpha, or not said to be anything else."""
    return page.samplesperpixel == 4 and tuple(page.extrasamples) in ((), (1,), (2,))


def _is_picture(page: tifffile.TiffPage) -> bool:
    """Whether OpenCV and Pillow know what this page looks like: 8 bits, grey, colour, palette."""
    if page.bitspersample > 8 or page.dtype is None or page.dtype.kind not in 'ub':
        return False
    if page.samplesperpixel == 1:
        return True
    return (page.photometric != tifffile.PHOTOMETRIC.MINISBLACK
            and page.planarconfig == tifffile.PLANARCONFIG.CONTIG
            and (page.samplesperpixel == 3 or _is_alpha(page)))


def _read_page(page: tifffile.TiffPage, data: bytes) -> np.ndarray:
    """Return a page (H, W, bands) in the file's order.

    Raises:
        BandError: its compression is not known here, or it is no plane.
    """
    if page.axes not in ('YX', 'YXS', 'SYX'):
        raise BandError(f'has a page with axes {page.axes}; expected a plane (Y, X), with bands')
    try:
        image = page.asarray()
    except _TIFF_ERRORS as error:
        if 'imagecodecs' not in str(error):
            raise
        # OpenCV knows some of those, in the first page, but more than one band only as colours
        known = page.samplesperpixel == 1 or page.photometric == tifffile.PHOTOMETRIC.RGB
        image = _decode_picture(data, 0) if known and page.index == 0 else None
        if image is None or image.shape[2] != page.samplesperpixel:
            raise BandError(
                f'is compressed by {page.compression.name}, which tifffile reads with one more '
                'package (pip install imagecodecs); or write it with DEFLATE or none') from None
        return image[..., [2, 1, 0, 3][:image.shape[2]]] if image.shape[2] > 1 else image
    if page.axes == 'SYX':
        image = np.moveaxis(image, 0, -1)
    return image.reshape(*image.shape[:2], -1)


def _decode_tiff(data: bytes, channels: int, page: int | None) -> np.ndarray | None:
    """Return the bands of a TIFF in its order, pages as bands; three are R, G, B, turned to BGR."""
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as tiff:
            if page is None and noted_shape(tiff):
                return turn_colours(tiff.series[0].asarray())
            chosen = _choose_pages(image_pages(tiff), channels, page)
            first = chosen[0]
            if len(chosen) == 1 and first.index == 0 and channels in (1, 3) and _is_picture(first):
                return _decode_picture(data, channels)
            image = np.concatenate([_read_page(one, data) for one in chosen], axis=2)
    except BandError:
        raise
    except _TIFF_ERRORS:
        return None
    if first.photometric == tifffile.PHOTOMETRIC.RGB and len(chosen) == 1:
        if channels in (1, 3) and _is_alpha(first):
            image = image[..., :3]
        if channels == 1 and image.shape[2] == 3 and image.dtype in (np.uint8, np.uint16,
                                                                     np.float32):
            return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None]
    return turn_colours(image)


def turn_colours(image: np.ndarray) -> np.ndarray:
    """Return RGB (H, W, 3) as BGR or the reverse; an image of other bands as it is."""
    return np.ascontiguousarray(image[..., ::-1]) if image.shape[2] == 3 else image


def _load_array(data: bytes) -> np.ndarray | None:
    try:
        array = np.load(io.BytesIO(data), allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return array[..., None] if array.ndim == 2 else array


def decode(data: bytes, channels: int, page: int | None = None,
           array_file: bool = False) -> np.ndarray | None:
    """Return (H, W, bands) with the file's own numbers, or None if it cannot be decoded.

    Pictures (JPEG, PNG, …) have ``channels`` bands already where that is 1 or 3. Three bands of a
    TIFF become BGR, more keep their order, as those of arrays do.

    Args:
        data: the whole file.
        channels: number of bands wanted: pages of a TIFF are bands where that makes this number.
        page: which page of a TIFF, from 0.
        array_file: whether it is a ``.npy`` file.

    Raises:
        BandError: a TIFF's pages or compression do not fit; the message says what to do.
    """
    if array_file:
        return _load_array(data)
    if data[:4] in TIFF_STARTS:
        return _decode_tiff(data, channels, page)
    whole = True
    if data[:2] == b'\xff\xd8':
        components, whole = _jpeg_state(data)
        if whole and components == 4 and channels in (1, 3):
            return _decode_with_pillow(data, channels)
    elif data[:8] == PNG_START:
        whole = data.rfind(PNG_END) >= 0
    # decoders fill what is missing with grey and say nothing
    return _decode_picture(data, channels) if whole else None
