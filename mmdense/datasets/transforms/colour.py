"""Colour as a shortcut and as a target: channels dropped, lightness alone, chroma to be predicted.

Images are BGR, uint8; Lab is CIE's with L from 0 to 100 and a, b in about -128 to 127.
"""
from __future__ import annotations

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from mmdense.mistakes import WrongValue
from mmdense.registry import TRANSFORMS

from .photometric import Photometric

#: what becomes of an image without colours, see :class:`ColourTarget`
GREY = ('skip', 'error')


def check_colours(owner: object, results: dict) -> np.ndarray:
    """Return ``img``.

    Raises:
        ValueError: it has no three channels of 8 bits.
    """
    image = results['img']
    if image.dtype != np.uint8 or image.shape[2] != 3:
        raise WrongValue(f'{type(owner).__name__} needs colours, 3 channels of uint8, but '
                         f'{results.get("img_path", "the image")} has {image.shape[2]} of '
                         f'{image.dtype}')
    return image


def lightness(image: np.ndarray) -> np.ndarray:
    """Return L of Lab of BGR uint8 (H, W, 3), three times, on 0 to 255."""
    light = cv2.cvtColor(image, cv2.COLOR_BGR2LAB)[..., 0]
    return cv2.merge([light, light, light])


@TRANSFORMS.register_module()
class ToLightness(Photometric):
    """Replace the channels of an image by L of Lab, three times (1708.07860, harmonised inputs).

    Args:
        prob: probability.
    """

    def __init__(self, prob: float = 1.0) -> None:
        super().__init__(prob)

    def needs_levels(self, channels: int) -> str:
        """All of it: Lab is defined for colours of 8 bits."""
        return 'ToLightness'

    def change(self, image: np.ndarray) -> np.ndarray:
        """Return L, three times."""
        if image.shape[2] != 3:
            raise WrongValue(f'ToLightness needs 3 channels, got {image.shape[2]}')
        return lightness(image)


@TRANSFORMS.register_module()
class DropChannels(Photometric):
    """Keep one channel and replace the others by noise around the middle grey (1505.05192).

    The noise is normal with a hundredth of the kept channel's standard deviation. Where colours
    are shifted against each other towards the border of a lens, this hides it.

    Args:
        prob: probability.
    """

    def __init__(self, prob: float = 1.0) -> None:
        super().__init__(prob)

    def needs_levels(self, channels: int) -> str:
        """All of it: the middle grey is 128."""
        return 'DropChannels'

    def change(self, image: np.ndarray) -> np.ndarray:
        """Return the image with one channel left."""
        kept = np.random.randint(image.shape[2])
        noise = np.random.normal(128, image[..., kept].std() / 100, image.shape)
        noise[..., kept] = image[..., kept]
        return np.rint(noise).clip(0, 255).astype(np.uint8)


@TRANSFORMS.register_module()
class ColourTarget(BaseTransform):
    """Take the colours out of a view: what is left is L of Lab, three times (1603.08511).

    Reads and replaces ``img`` (h, w, 3), BGR uint8. Writes ``target`` (2, h / stride, w / stride)
    uint8, a + 128 and b + 128 of cells of ``stride`` pixels, the means of their pixels; and
    ``mask``, whether the image has colours: one whose pixels are on average less than ``least``
    from grey (in a and b) has none.

    Args:
        stride: pixels along a side of a cell.
        grey: what becomes of an image without colours: ``'skip'`` leaves it out of the loss, which
            counts them, ``'error'`` ends the run.
        least: as above.

    Raises:
        ValueError: ``stride`` below 1 or another ``grey``.
    """

    def __init__(self, stride: int = 4, grey: str = 'skip', least: float = 2.0) -> None:
        if stride < 1 or grey not in GREY:
            raise WrongValue(f'ColourTarget(stride={stride}, grey={grey!r}): expected at least 1 '
                             f'pixel and one of {GREY}')
        self.stride, self.grey, self.least = stride, grey, least

    def transform(self, results: dict) -> dict:
        """Replace ``img``; add ``target`` and ``mask``.

        Raises:
            ValueError: no colour image, one smaller than a cell, or, where it is asked, a grey one.
        """
        image, name = check_colours(self, results), results.get('img_path', 'the image')
        rows, columns = (side // self.stride for side in image.shape[:2])
        if not rows * columns:
            raise WrongValue(f'ColourTarget: {name} of {image.shape[0]} x {image.shape[1]} pixels '
                             f'has no cell of {self.stride}: expected a smaller stride')
        lab = cv2.cvtColor(image, cv2.COLOR_BGR2LAB)
        chroma = cv2.resize(lab[..., 1:], (columns, rows), interpolation=cv2.INTER_AREA)
        coloured = np.abs(chroma.astype(np.float32) - 128).sum(2).mean() >= self.least
        if not coloured and self.grey == 'error':
            raise WrongValue(f'ColourTarget: {name} is grey, and there is nothing to colour; '
                             "expected colour images, or grey='skip'")
        results.update(img=cv2.merge([lab[..., 0]] * 3),
                       target=np.ascontiguousarray(chroma.transpose(2, 0, 1)),
                       mask=np.bool_(coloured))
        return results
