"""Photometric transforms of uint8 or float32 images (h, w, C), BGR, by cv2 and lookup tables.

All work on any number of channels. Brightness, contrast, blur and solarisation act on each channel;
saturation, hue and grey mean something for three channels only and leave other images as they are.
Each result is within a few grey levels of torchvision's (the tests say how many).

Results on uint8 are rounded and cut off at 0 and 255. float32 images have no black and white, so
theirs are neither, brightness scales around 0, and hue and solarisation are refused.
"""
from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from mmdense.mistakes import WrongValue
from mmdense.registry import TRANSFORMS

LEVELS = np.arange(256, dtype=np.float32)
GREY = np.array([0.114, 0.587, 0.299], np.float32)          # ITU-R 601 luma of (B, G, R)


def look_up(image: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Map levels through ``table`` (256,) or, each channel by its own, (256, C), rounded."""
    table = np.clip(np.rint(table), 0, 255).astype(np.uint8)
    if table.ndim == 2:
        table = table[None]
    return cv2.LUT(image, table).reshape(image.shape)


def adjust_brightness(image: np.ndarray, factor: float) -> np.ndarray:
    """Multiply by ``factor``."""
    if image.dtype != np.uint8:
        return image * np.float32(factor)
    return look_up(image, LEVELS * factor)


def adjust_contrast(image: np.ndarray, factor: float) -> np.ndarray:
    """Scale the distance to the mean grey by ``factor`` (to each channel's mean where C != 3)."""
    if image.shape[2] == 3:
        means = np.dot(cv2.mean(image)[:3], GREY)
    else:
        means = image.reshape(-1, image.shape[2]).mean(axis=0)
    shift = ((1 - factor) * means).astype(np.float32)
    if image.dtype != np.uint8:
        return image * np.float32(factor) + shift
    levels = LEVELS if shift.ndim == 0 else LEVELS[:, None]
    return look_up(image, levels * factor + shift)


def adjust_saturation(image: np.ndarray, factor: float) -> np.ndarray:
    """Scale the distance of a pixel to its own grey by ``factor`` (where C = 3)."""
    if image.shape[2] != 3:
        return image
    matrix = factor * np.eye(3, dtype=np.float32) + (1 - factor) * GREY
    return cv2.transform(image, matrix)


def shift_hue(image: np.ndarray, shift: float) -> np.ndarray:
    """Turn the hue by ``shift`` of the full circle (where C = 3)."""
    if image.shape[2] != 3:
        return image
    hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV_FULL)
    hsv[..., 0] += np.uint8(round(shift * 256) % 256)        # 256 levels a circle, so it wraps
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR_FULL)


def to_grey(image: np.ndarray) -> np.ndarray:
    """Replace the three channels by their luma (where C = 3)."""
    if image.shape[2] != 3:
        return image
    return cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)


def blur_kernel_size(height: int, width: int) -> int:
    """Return the odd side, in pixels, of a kernel a tenth of the view's (23 at 224, as SimCLR)."""
    return max(3, 2 * (min(height, width) // 20) + 1)


def gaussian_blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Convolve with a Gaussian of ``sigma`` pixels, cut at a tenth of the view's side."""
    # what lies beyond four sigma weighs less than 1e-4, below half of one of 256 levels
    size = min(blur_kernel_size(*image.shape[:2]), 2 * math.ceil(4 * sigma) + 1)
    kernel = cv2.getGaussianKernel(size, sigma, cv2.CV_32F)
    return cv2.sepFilter2D(image, -1, kernel, kernel).reshape(image.shape)


def solarize(image: np.ndarray, threshold: float) -> np.ndarray:
    """Invert levels at or above ``threshold``."""
    return look_up(image, np.where(LEVELS >= threshold, 255 - LEVELS, LEVELS))


def check_range(owner: object, name: str, value: float, low: float, high: float) -> None:
    """Raise ValueError, naming the option, where ``value`` is outside [low, high]."""
    if not low <= value <= high:
        raise WrongValue(f'{type(owner).__name__}: {name}={value} must be in [{low}, {high}]')


class Photometric(BaseTransform):
    """Changes the levels of an image, with probability ``prob``; a subclass says how."""

    def __init__(self, prob: float) -> None:
        check_range(self, 'prob', prob, 0, 1)
        self.prob = prob

    @abstractmethod
    def change(self, image: np.ndarray) -> np.ndarray:
        """Return the changed image (h, w, C), of its own type; the given one stays as it is."""

    def needs_levels(self, channels: int) -> str:
        """Return which part of it needs the levels 0-255, or an empty text."""
        return ''

    def transform(self, results: dict) -> dict:
        """Replace ``img``.

        Raises:
            ValueError: ``img`` is neither uint8 nor float32, or float32 where levels are needed.
        """
        image = results['img']
        needed = image.dtype != np.uint8 and self.needs_levels(image.shape[2])
        if needed or image.dtype not in (np.uint8, np.float32):
            path = results.get('img_path', 'the image')
            what = f'{needed} needs uint8 images (levels 0-255)' if needed else \
                'changes uint8 and float32 images'
            raise WrongValue(f'{type(self).__name__}: {what}, but {path} is {image.dtype}: load it '
                             "as uint8 (LoadImage's value_range or percentiles, without "
                             f'to_float32), or leave {needed or "this transform"} out')
        if np.random.random() < self.prob:
            results['img'] = self.change(image)
        return results


@TRANSFORMS.register_module()
class ColorJitter(Photometric):
    """Change brightness, contrast, saturation and hue by random amounts, in random order.

    Args:
        brightness, contrast, saturation: s >= 0; the factor is uniform in [max(0, 1-s), 1+s].
        hue: h in [0, 0.5]; the shift is uniform in [-h, h] of the circle.
        prob: probability.
    """

    def __init__(self, brightness: float = 0.0, contrast: float = 0.0, saturation: float = 0.0,
                 hue: float = 0.0, prob: float = 1.0) -> None:
        super().__init__(prob)
        steps = []
        for name, value, adjust in (('brightness', brightness, adjust_brightness),
                                    ('contrast', contrast, adjust_contrast),
                                    ('saturation', saturation, adjust_saturation)):
            check_range(self, name, value, 0, math.inf)
            steps.append((adjust, max(0.0, 1 - value), 1 + value, value))
        check_range(self, 'hue', hue, 0, 0.5)
        steps.append((shift_hue, -hue, hue, hue))
        self.steps = [(adjust, low, high) for adjust, low, high, value in steps if value]
        self.turns_hue = hue > 0

    def needs_levels(self, channels: int) -> str:
        """Hue, of colours."""
        return 'hue' if self.turns_hue and channels == 3 else ''

    def change(self, image: np.ndarray) -> np.ndarray:
        """Return the image after all adjustments."""
        for which in np.random.permutation(len(self.steps)):
            adjust, low, high = self.steps[which]
            image = adjust(image, np.random.uniform(low, high))
        return image


@TRANSFORMS.register_module()
class RandomGrayscale(Photometric):
    """Replace colour by luma, keeping three channels.

    Args:
        prob: probability.
    """

    def __init__(self, prob: float = 0.2) -> None:
        super().__init__(prob)

    def change(self, image: np.ndarray) -> np.ndarray:
        """Return the grey image."""
        return to_grey(image)


@TRANSFORMS.register_module()
class GaussianBlur(Photometric):
    """Blur with a Gaussian whose kernel is at most a tenth of the view's side.

    Args:
        sigma: (low, high) pixels, drawn uniformly.
        prob: probability.
    """

    def __init__(self, sigma: Sequence[float] = (0.1, 2.0), prob: float = 0.5) -> None:
        super().__init__(prob)
        if not 0 < sigma[0] <= sigma[1]:
            raise WrongValue(f'GaussianBlur: sigma={sigma} must be (low, high) above 0')
        self.sigma = sigma

    def change(self, image: np.ndarray) -> np.ndarray:
        """Return the blurred image."""
        return gaussian_blur(image, np.random.uniform(*self.sigma))


@TRANSFORMS.register_module()
class Solarize(Photometric):
    """Invert the levels at or above a threshold (BYOL's second view).

    Args:
        threshold: level, 0-255.
        prob: probability.
    """

    def __init__(self, threshold: float = 128, prob: float = 0.2) -> None:
        super().__init__(prob)
        check_range(self, 'threshold', threshold, 0, 255)
        self.threshold = threshold

    def needs_levels(self, channels: int) -> str:
        """All of it: what is inverted is 255 less the level."""
        return 'Solarize'

    def change(self, image: np.ndarray) -> np.ndarray:
        """Return the solarised image."""
        return solarize(image, self.threshold)
