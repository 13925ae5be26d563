"""Image files of every kind, whole and with a flipped bit."""
from __future__ import annotations

import io
from collections.abc import Iterator

import cv2
import numpy as np
from PIL import Image

#: name -> (suffix, Pillow's format and options)
KINDS = {
    'JPEG': ('.jpg', 'JPEG', dict(quality=90)),
    'progressive JPEG': ('.jpg', 'JPEG', dict(quality=90, progressive=True)),
    'TIFF': ('.tif', 'TIFF', {}),
    'TIFF with LZW': ('.tif', 'TIFF', dict(compression='tiff_lzw')),
    'TIFF with deflate': ('.tif', 'TIFF', dict(compression='tiff_adobe_deflate')),
    'WebP': ('.webp', 'WEBP', dict(quality=85)),
    'GIF': ('.gif', 'GIF', {}),
    'PNG': ('.png', 'PNG', {}),
}


def encoded(kind: str, height: int = 120, width: int = 160) -> bytes:
    """Return a file of soft and of noisy places."""
    rng = np.random.default_rng(0)
    soft = cv2.GaussianBlur(rng.integers(0, 256, (height, width, 3), dtype=np.uint8), (0, 0), 3)
    soft = cv2.normalize(soft, None, 0, 255, cv2.NORM_MINMAX).astype(int)
    pixels = np.clip(soft + rng.integers(-8, 8, soft.shape), 0, 255).astype(np.uint8)
    _, name, options = KINDS[kind]
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, name, **options)
    return buffer.getvalue()


def flipped(content: bytes, places: int = 20) -> Iterator[bytes]:
    """Yield copies with one bit flipped, at evenly spread places."""
    for number in range(places):
        damaged = bytearray(content)
        damaged[int((number + 0.5) / places * len(content))] ^= 1 << number % 8
        yield bytes(damaged)
