"""Images as the bytes of PNG files."""
from __future__ import annotations

import io
from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image


def picture_png(image: np.ndarray) -> bytes:
    """Return a BGR image (H, W, 3), uint8, as PNG."""
    return cv2.imencode('.png', image, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()


def label_png(labels: np.ndarray, palette: Sequence[Sequence[int]],
              rest: Sequence[int] = (255, 255, 255)) -> bytes:
    """Return class ids (H, W), uint8, as PNG with a palette of RGB; ids above it are ``rest``."""
    image = Image.fromarray(labels)
    colours = np.tile(np.array(rest, np.uint8), (256, 1))
    colours[:len(palette)] = np.asarray(palette, np.uint8).reshape(-1, 3)
    image.putpalette(colours.tobytes())
    content = io.BytesIO()
    image.save(content, 'PNG')
    return content.getvalue()
