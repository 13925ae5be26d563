"""A picture of images and their regions side by side."""
from __future__ import annotations

import os
from collections.abc import Sequence

import cv2
import numpy as np

from .quality import boundaries


def draw_regions(image: np.ndarray, regions: np.ndarray) -> np.ndarray:
    """Return ``image`` (H, W, 3) in each region's mean colour, no region black, with boundaries."""
    count = int(regions.max(initial=0)) + 1
    flat, pixels = regions.ravel(), image.reshape(-1, 3)
    areas = np.maximum(np.bincount(flat, minlength=count), 1)
    means = np.stack([np.bincount(flat, pixels[:, c], count) / areas for c in range(3)], 1)
    means[0] = 0
    drawn = means[regions].astype(np.uint8)
    drawn[boundaries(regions)] = (255, 255, 255)
    return drawn


def _fit(picture: np.ndarray, side: int) -> np.ndarray:
    """Return ``picture`` shrunk into a black square of this side."""
    scale = side / max(picture.shape[:2])
    size = [max(1, round(length * scale)) for length in picture.shape[1::-1]]
    square = np.zeros((side, side, 3), np.uint8)
    square[:size[1], :size[0]] = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return square


def contact_sheet(rows: Sequence[Sequence[np.ndarray]], side: int = 160) -> np.ndarray:
    """Return pictures (H, W, 3) laid out as rows of squares of ``side`` pixels, 4 pixels apart."""
    columns = max(len(row) for row in rows)
    sheet = np.full((len(rows) * (side + 4) - 4, columns * (side + 4) - 4, 3), 255, np.uint8)
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            top, left = y * (side + 4), x * (side + 4)
            sheet[top:top + side, left:left + side] = _fit(picture, side)
    return sheet


def encode_sheet(sheet: np.ndarray, path: str | os.PathLike) -> bytes:
    """Return the sheet's bytes in the format of ``path``'s suffix."""
    suffix = os.path.splitext(path)[1]
    return cv2.imencode(suffix, sheet, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()
