"""Random resized crop and flip that record where a view comes from.

A view is a results dict with ``img`` (h, w, C), ``box`` float32 (4,), half-open source pixels
(x0, y0, x1, y1), ``flip`` (bool, mirrored left to right) and, where the image has one, its region
map ``regions`` (h, w).
"""
from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from mmdense.mistakes import WrongValue
from mmdense.registry import TRANSFORMS

Box = tuple[int, int, int, int]


def draw_crop(height: int, width: int, area: Sequence[float], aspect: Sequence[float],
              tries: int = 10) -> Box:
    """Draw a crop (x0, y0, x1, y1) of an image as torchvision's ``RandomResizedCrop`` does.

    Its share of the image is uniform in ``area`` and its width / height log-uniform in ``aspect``;
    a draw that does not fit is repeated, and after ``tries`` draws the central crop is taken.
    """
    low, high = math.log(aspect[0]), math.log(aspect[1])
    for _ in range(tries):
        target = height * width * np.random.uniform(area[0], area[1])
        ratio = math.exp(np.random.uniform(low, high))
        w = round(math.sqrt(target * ratio))
        h = round(math.sqrt(target / ratio))
        if 0 < w <= width and 0 < h <= height:
            y0 = int(np.random.randint(0, height - h + 1))
            x0 = int(np.random.randint(0, width - w + 1))
            return x0, y0, x0 + w, y0 + h
    return central_crop(height, width, aspect)


def central_crop(height: int, width: int, aspect: Sequence[float]) -> Box:
    """Return the largest central crop (x0, y0, x1, y1) with width / height inside ``aspect``."""
    w, h = width, height
    if width / height < aspect[0]:
        h = max(1, round(width / aspect[0]))
    elif width / height > aspect[1]:
        w = max(1, round(height * aspect[1]))
    x0, y0 = (width - w) // 2, (height - h) // 2
    return x0, y0, x0 + w, y0 + h


def resize_image(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize an image (H, W, C), any C, to ``size`` (h, w), bilinear.

    Bilinear reads every source pixel up to a shrink by two; beyond that it would alias, so an axis
    that shrinks more is first shrunk by the mean over the pixel's area.
    """
    channels = image.shape[2]
    height, width = (to if now > 2 * to else now
                     for now, to in zip(image.shape[:2], size, strict=True))
    if (height, width) != image.shape[:2]:
        # cv2's area mode stops at four channels
        groups = [image] if channels <= 4 else cv2.split(image)
        groups = [cv2.resize(group, (width, height), interpolation=cv2.INTER_AREA)
                  for group in groups]
        image = groups[0] if channels <= 4 else np.stack(groups, axis=-1)
    image = cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR)
    return image.reshape(*size, channels)                # cv2 drops a single channel's axis


def ids_for_cv2(regions: np.ndarray) -> np.ndarray:
    """Return region ids as uint8, if they are, else as int32: cv2 does not know all types."""
    return regions if regions.dtype == np.uint8 else regions.astype(np.int32, copy=False)


def resize_regions(regions: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize region ids (H, W) to ``size`` (h, w): each pixel takes the id at its centre.

    uint8 ids stay uint8, others become int32.
    """
    # cv2's default nearest takes the id at the pixel's corner, up to a source pixel away
    return cv2.resize(ids_for_cv2(regions), size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)


def source_box(crop: Box, results: dict) -> np.ndarray:
    """Return the source pixels (4,) float32 of a crop of ``img``, which may be a view itself."""
    height, width = results['img'].shape[:2]
    x0, y0, x1, y1 = crop
    if 'box' not in results:
        return np.array(crop, np.float32)
    if results.get('flip', False):
        x0, x1 = width - x1, width - x0
    left, top, right, bottom = results['box']
    scale_x, scale_y = (right - left) / width, (bottom - top) / height
    return np.array([left + x0 * scale_x, top + y0 * scale_y,
                     left + x1 * scale_x, top + y1 * scale_y], np.float32)


@TRANSFORMS.register_module()
class RandomResizedCrop(BaseTransform):
    """Cut a random box and resize it, image and region map alike, and record the box.

    The algorithm is torchvision's, its central-crop fallback included. `MultiView` may set the
    crop beforehand (``results['crop']``), to control the overlap of views.

    Args:
        size: side of the view, or (height, width), in pixels.
        area: range of the crop's share of the image.
        aspect: range of the crop's width / height.
    """

    def __init__(self, size: int | Sequence[int], area: Sequence[float] = (0.2, 1.0),
                 aspect: Sequence[float] = (3 / 4, 4 / 3)) -> None:
        self.size = (size, size) if isinstance(size, int) else tuple(size)
        if len(self.size) != 2 or min(self.size) < 1:
            raise WrongValue(f'RandomResizedCrop: size={size} must be pixels, or (height, width)')
        if not 0 < area[0] <= area[1] <= 1:
            raise WrongValue(f'RandomResizedCrop: area={area} must be (low, high) in (0, 1]')
        if not 0 < aspect[0] <= aspect[1]:
            raise WrongValue(f'RandomResizedCrop: aspect={aspect} must be (low, high) above 0')
        self.area, self.aspect = area, aspect

    def draw(self, height: int, width: int) -> Box:
        """Draw a crop (x0, y0, x1, y1) of an image of this height and width."""
        return draw_crop(height, width, self.area, self.aspect)

    def transform(self, results: dict) -> dict:
        """Replace ``img`` and ``regions`` by those of a crop, and set ``box``."""
        image = results['img']
        crop = results.pop('crop', None) or self.draw(*image.shape[:2])
        rows, columns = slice(crop[1], crop[3]), slice(crop[0], crop[2])
        results['box'] = source_box(crop, results)
        results['img'] = resize_image(image[rows, columns], self.size)
        results['img_shape'] = self.size
        if 'regions' in results:
            results['regions'] = resize_regions(results['regions'][rows, columns], self.size)
        return results


@TRANSFORMS.register_module()
class RandomFlip(BaseTransform):
    """Mirror a view left to right, image and region map alike, and record it in ``flip``.

    Args:
        prob: probability.
    """

    def __init__(self, prob: float = 0.5) -> None:
        if not 0 <= prob <= 1:
            raise WrongValue(f'RandomFlip: prob={prob} must be in [0, 1]')
        self.prob = prob

    def transform(self, results: dict) -> dict:
        """Mirror ``img`` and ``regions``, and invert ``flip``."""
        results.setdefault('flip', False)
        if np.random.random() < self.prob:
            results['img'] = cv2.flip(results['img'], 1).reshape(results['img'].shape)
            results['flip'] = not results['flip']
            if 'regions' in results:
                results['regions'] = cv2.flip(ids_for_cv2(results['regions']), 1)
        return results
