"""The number that an image has by its file's name."""
from __future__ import annotations

import hashlib


def image_number(path: str) -> int:
    """Return a number from 0 to 2 ** 63 - 1 that is a path's own."""
    # 63 bits: among ten million images two share a number with a chance of 5e-6
    return int.from_bytes(hashlib.blake2b(str(path).encode('utf-8', 'surrogateescape'),
                                          digest_size=8).digest(), 'big') >> 1
