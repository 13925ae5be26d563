"""Read one image, whatever its kind, or say in one line what is wrong with the file."""
from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from PIL import Image, ImageOps

from mmdense.registry import TRANSFORMS

#: smallest side of an image, in pixels: below it there is nothing to crop
MIN_SIDE = 8
IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp', '.gif', '.ppm',
                  '.pgm', '.jp2', '.npy')

_FRAMES_WITHOUT_SIZE = (0xC4, 0xC8, 0xCC)   # among C0..CF: tables, not start of frame
_PNG_END = b'IEND\xaeB`\x82'


class ImageReadError(ValueError):
    """An image file that cannot be used; the message names the file and what was expected."""


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
        if image.mode in ('I', 'F'):    # a conversion would clip, not scale
            return None
        image = image.convert('L' if channels == 1 else 'RGB')
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    pixels = np.asarray(image)
    return pixels[..., None] if channels == 1 else np.ascontiguousarray(pixels[..., ::-1])


def _decode(data: bytes, channels: int) -> np.ndarray | None:
    """Return (H, W, C) as it was decoded, or None where no decoder makes sense of it."""
    whole = True
    if data[:2] == b'\xff\xd8':
        components, whole = _jpeg_state(data)
        if whole and components == 4 and channels in (1, 3):
            return _decode_with_pillow(data, channels)
    elif data[:8] == b'\x89PNG\r\n\x1a\n':
        whole = data.rfind(_PNG_END) >= 0
    if not whole:                        # decoders fill the rest with grey and say nothing
        return None
    flag = {1: cv2.IMREAD_GRAYSCALE, 3: cv2.IMREAD_COLOR}.get(channels, cv2.IMREAD_UNCHANGED)
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
    except cv2.error:
        image = None
    if image is None:
        return _decode_with_pillow(data, channels) if channels in (1, 3) else None
    return image if image.ndim == 3 else image[..., None]


def _load_array(data: bytes) -> np.ndarray | None:
    try:
        array = np.load(io.BytesIO(data), allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return array[..., None] if array.ndim == 2 else array


def _complain(path: str, expected: str) -> Callable[[str], ImageReadError]:
    return lambda what: ImageReadError(f'{path}: {what}; expected {expected}')


def read_image(path: str, channels: int = 3) -> np.ndarray:
    """Return the image in ``path`` as uint8 (H, W, ``channels``), BGR where there are three.

    Grey images become three equal channels, an alpha channel is dropped, palettes are looked up,
    CMYK is converted by Pillow. A 16-bit value v becomes ``v // 256``. The EXIF orientation is
    applied for one and three channels and ignored for others, as mmseg's ``LoadImageFromFile``
    does it; label images have none. Other numbers of channels come from ``.npy`` files (H, W, C)
    of uint8 or uint16, or from any format that OpenCV reads with that many channels.

    Args:
        path: a local file.
        channels: number of channels that the network takes.

    Raises:
        ImageReadError: the file is not there, empty, truncated, no image, has a side under 8
            pixels, or has another number of channels or another type of numbers.
    """
    array_file = path.lower().endswith('.npy')
    kind = 'a .npy file' if array_file else 'a whole image file'
    error = _complain(
        path, f'{kind} of {channels} channel(s) and at least {MIN_SIDE} pixels a side')
    try:
        data = Path(path).read_bytes()
    except OSError as reason:
        raise error(f'cannot be read ({reason.strerror or reason})') from None
    if not data:
        raise error('is empty (0 bytes)')
    image = _load_array(data) if array_file else _decode(data, channels)
    if image is None:
        raise error(f'is truncated, damaged or no image ({len(data)} bytes)')
    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    if image.dtype != np.uint8:
        raise error(f'holds {image.dtype} numbers (uint8 and uint16 are read)')
    if image.ndim != 3 or image.shape[2] != channels:
        raise error(f'has shape {image.shape}')
    if min(image.shape[:2]) < MIN_SIDE:
        raise error(f'is {image.shape[1]}x{image.shape[0]} pixels')
    return image


@TRANSFORMS.register_module()
class LoadImage(BaseTransform):
    """Read the image in ``img_path``: see :func:`read_image` for what is read and how.

    Adds ``img``, uint8 (H, W, ``channels``), BGR where there are three, and ``img_shape`` and
    ``ori_shape``, both (H, W).

    Args:
        channels: number of channels that the network takes.

    Raises:
        ImageReadError: the file cannot be used; the message names it.
    """

    def __init__(self, channels: int = 3) -> None:
        if not isinstance(channels, int) or channels < 1:
            raise ValueError(f'LoadImage: channels={channels!r}; expected a whole number from 1')
        self.channels = channels

    def transform(self, results: dict) -> dict:
        """Return ``results`` with the image."""
        image = read_image(results['img_path'], self.channels)
        results['img'] = image
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        return results
