"""Region ids in files: PNG of 8 or 16 bits, or npz."""
from __future__ import annotations

import io
import os
import zipfile
import zlib
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from mmdense.files import read_regular, write_whole
from mmdense.images.decoding import PNG_START
from mmdense.images.image_size import MAX_PIXELS, read_array_header
from mmdense.mistakes import MissingFile, WrongValue

from .region_checks import check_ids, compact_regions

#: by suffix: the largest id that such a file holds
FORMATS = {'.png': 2 ** 16 - 1, '.npz': 2 ** 31 - 1}
NPZ_KEY = 'regions'
_PNG_MODES = {'1', 'L', 'P', 'I', 'I;16', 'I;16B'}
#: neighbours of one region are equal as they are: filters only make files larger and slower to read
_PNG_OPTIONS = (cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE,
                cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_DEFAULT,
                cv2.IMWRITE_PNG_COMPRESSION, 9)


class RegionFileError(WrongValue):
    """A region file that cannot be used; the message names the file and what was expected."""


class _WrongSize(WrongValue):
    """The header declares another size than the image's, or more than anything of use has."""


def _encode(regions: np.ndarray, suffix: str) -> bytes:
    if suffix == '.png':
        kind = np.uint8 if regions.max(initial=0) < 256 else np.uint16
        return cv2.imencode('.png', regions.astype(kind), _PNG_OPTIONS)[1].tobytes()
    content = io.BytesIO()
    np.savez_compressed(content, **{NPZ_KEY: regions.astype(np.int32)})
    return content.getvalue()


def write_regions(path: str | os.PathLike, regions: np.ndarray) -> None:
    """Write ids (H, W) whole or not at all: ``.png`` (16 bits from id 256 on) or ``.npz``.

    Raises:
        ValueError: another suffix, or an id that this kind of file cannot hold.
    """
    suffix = Path(path).suffix
    if suffix not in FORMATS:
        raise WrongValue(f'{path}: region files end in {" or ".join(FORMATS)}')
    low, high = int(regions.min(initial=0)), int(regions.max(initial=0))
    if low < 0 or high > FORMATS[suffix]:
        raise WrongValue(f'{path}: region ids {low}..{high}; a {suffix[1:]} file holds '
                         f'0..{FORMATS[suffix]}, more go into a .npz file')
    write_whole(_encode(regions, suffix), path)


def _packed_rows(data: bytes) -> bytes | None:
    """Return the zlib stream of a PNG of grey values of 8 or 16 bits; None of any other file.

    Also None where the file does not go to its end, or a checksum is wrong; that of the pixels is
    left to zlib, whose stream has one of its own.
    """
    if data[:8] != PNG_START or data[24:26] not in (b'\x08\x00', b'\x10\x00'):
        return None
    at, parts = 8, []
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at:at + 4], 'big')
        kind = data[at + 4:at + 8]
        if kind == b'IDAT':
            parts.append(data[at + 8:end])
        elif zlib.crc32(data[at + 4:end]) != int.from_bytes(data[end:end + 4], 'big'):
            return None
        elif kind == b'IEND':
            return b''.join(parts)
        at = end + 4
    return None


def _check_declared(height: int, width: int, size: tuple[int, int] | None) -> None:
    """Raise ``_WrongSize`` if a header declares another size than the image's, or far too much."""
    if size is not None and (height, width) != tuple(size):
        raise _WrongSize(f'a region map of {width}x{height} pixels; expected {size[1]}x{size[0]}, '
                         'the size of its image')
    if height * width > MAX_PIXELS:
        raise _WrongSize(f'declares {width}x{height} pixels, more than {MAX_PIXELS:,}')


def _png_size(data: bytes) -> tuple[int, int]:
    return int.from_bytes(data[20:24], 'big'), int.from_bytes(data[16:20], 'big')


def _decode_npz(data: bytes, size: tuple[int, int] | None) -> np.ndarray:
    """Return the ids of an npz file whose header declares what it may."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        with archive.open(f'{NPZ_KEY}.npy') as member:
            shape, kind = read_array_header(member)
        if len(shape) != 2 or kind.kind not in 'iub':
            raise WrongValue(f'an array of shape {shape} and type {kind}')
        _check_declared(*shape, size)
        with archive.open(f'{NPZ_KEY}.npy') as member:
            ids = np.lib.format.read_array(member, allow_pickle=False)
            if member.read(1):      # the end of a member is where zipfile compares its checksum
                raise WrongValue('more bytes than its header says')
    return ids


def _decode_grey_png(data: bytes) -> np.ndarray | None:
    """Return the values (H, W) of a whole PNG of grey values of 8 or 16 bits; None of another.

    Raises:
        ValueError: the pixels are more or fewer than the header says; OpenCV would take what is
            there.
    """
    packed = _packed_rows(data)
    if packed is None or data[28]:                                          # interlaced
        return None
    height, width = _png_size(data)
    bytes_a_row = 1 + width * data[24] // 8
    inflate = zlib.decompressobj()
    content = inflate.decompress(packed, height * bytes_a_row + 1)      # never more than one over
    if not inflate.eof or len(content) != height * bytes_a_row:
        raise WrongValue(f'{len(content)} bytes of pixels for {width}x{height} of them')
    rows = np.frombuffer(content, np.uint8).reshape(height, bytes_a_row)
    if rows[:, 0].any():                                                    # filtered
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    # as write_regions leaves them: OpenCV would take a third longer
    values = rows[:, 1:].copy()
    return values if data[24] == 8 else values.view('>u2').astype(np.uint16)


def _decode(data: bytes, suffix: str, size: tuple[int, int] | None) -> np.ndarray:
    """Return the ids (H, W) as they stand in the file; raises what the decoders raise."""
    if suffix == '.npz':
        return _decode_npz(data, size)
    if data[:8] == PNG_START:
        _check_declared(*_png_size(data), size)
    ids = _decode_grey_png(data)        # the usual one: Pillow would read it twice
    if ids is not None:
        return ids
    image = Image.open(io.BytesIO(data))
    _check_declared(image.height, image.width, size)
    image.verify()                                  # the checksums; the image is read anew
    image = Image.open(io.BytesIO(data))
    if image.mode not in _PNG_MODES:
        raise WrongValue(f'is a colour image (mode {image.mode})')
    if image.mode == 'L' and image.format == 'PNG' and data[24] != 8:
        raise WrongValue(f'has {data[24]} bits a pixel, which are scaled when they are read')
    # ids are a palette's indices, not its colours
    return np.array(image)


def read_ids(path: str | os.PathLike, size: tuple[int, int] | None = None) -> np.ndarray:
    """Read ids (H, W) as they stand in a file, a PNG or npz as of :func:`read_regions`.

    Args:
        path: the file.
        size: (H, W) of the image that they are of, if known: a header that declares another one
            is refused before anything is decoded.

    Raises:
        FileNotFoundError: there is no such file.
        RegionFileError: it is damaged or cut off, a colour image, or of another size.
    """
    expected = 'expected region ids in a whole PNG file (grey of 8 or 16 bits, or a palette) or ' \
               f'in an npz file under {NPZ_KEY!r}'
    try:
        data = read_regular(path)
    except FileNotFoundError:
        raise MissingFile(f'{path}: no such region file') from None
    except OSError as reason:
        raise RegionFileError(f'{path}: cannot be read ({reason.strerror}); {expected}') from None
    try:
        ids = _decode(data, os.path.splitext(path)[1], size)
        check_ids(ids, 'region ids')
    except _WrongSize as reason:
        raise RegionFileError(f'{path}: {reason}') from None
    except Exception as reason:     # zip, npy, png and their decoders: a dozen kinds of error
        raise RegionFileError(f'{path}: damaged, cut off or no region ids ({len(data)} bytes; '
                              f'{reason}); {expected}') from None
    return ids


def read_regions(path: str | os.PathLike, size: tuple[int, int] | None = None,
                 max_regions: int | None = None, keep_8_bits: bool = False) -> np.ndarray:
    """Read ids from a PNG (grey of 8 or 16 bits, or the indices of a palette) or an npz file.

    Args:
        path: the file; an npz holds them as ``regions``.
        size: (H, W) of the image that they are of, if known.
        max_regions: how many regions there may be.
        keep_8_bits: return the ids of a file of 8 bits as they stand there, which is faster.

    Returns:
        (H, W) int32, renumbered 1..K; or uint8, if asked for. 0 is no region.

    Raises:
        FileNotFoundError: there is no such file.
        RegionFileError: it is damaged or cut off, a colour image, of another size, or holds too
            many regions.
    """
    regions = read_ids(path, size)
    few = max_regions is None or regions.max(initial=0) <= max_regions
    if not (keep_8_bits and regions.dtype == np.uint8 and few):
        regions = compact_regions(regions)
    if max_regions is not None and regions.max(initial=0) > max_regions:
        raise RegionFileError(f'{path}: {regions.max()} regions; expected at most {max_regions} '
                              '(max_regions): make larger ones')
    return regions


def region_stem(image: str | os.PathLike, images: str | os.PathLike,
                folder: str | os.PathLike) -> str:
    """Return :func:`region_file` without its suffix.

    Raises:
        ValueError: the image is not below ``images``.
    """
    image, start = os.fspath(image), os.path.join(images, '')
    relative = image.removeprefix(start)
    # else all is said, and this is called for each sample: hence no Path
    if relative == image or os.pardir in relative or os.path.isabs(relative):
        relative = os.path.relpath(os.path.abspath(image), os.path.abspath(images))
    if relative.split(os.sep)[0] == os.pardir:
        raise WrongValue(f'{image} is not below {images}, the folder of images that the region '
                         f'files in {folder} are of')
    return os.path.splitext(os.path.join(folder, relative))[0]


def region_file(image: str | os.PathLike, images: str | os.PathLike, folder: str | os.PathLike,
                suffix: str = '.png') -> Path:
    """Return where the regions of ``image``, a file below ``images``, lie below ``folder``.

    Raises:
        ValueError: the image is not below ``images``.
    """
    return Path(region_stem(image, images, folder) + suffix)
