"""Two patches of an image beside each other (Doersch et al., ICCV 2015, arXiv 1505.05192)."""
from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.dataset import Compose

from mmdense.mistakes import WrongValue
from mmdense.registry import TRANSFORMS

from .geometric import resize_image, source_box

#: rows and columns of the eight places around a patch, in the order of their classes
PLACES = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))


@TRANSFORMS.register_module()
class RelativePatches(BaseTransform):
    """Make two views: a patch, and one of its eight neighbours in a 3 x 3 grid.

    The grid of patches with gaps between them lies at a random place of the image; each of the two
    patches is then moved by up to ``jitter`` pixels in both directions. An image that is too small
    for the grid is enlarged until it fits.

    Reads ``img`` (H, W, C). Writes ``views``: the middle patch and its neighbour, with ``box`` in
    pixels of the image as it came; the neighbour's ``target`` is its class, a place of ``PLACES``,
    and its ``mask`` whether the image was enlarged.

    Args:
        size: side of a patch in pixels.
        gap: pixels between two patches.
        jitter: pixels.
        patch: transforms of each patch by itself, such as ``mmdense.DropChannels``.

    Raises:
        ValueError: ``size`` below 1, ``gap`` or ``jitter`` below 0.
    """

    def __init__(self, size: int = 96, gap: int = 48, jitter: int = 7,
                 patch: Sequence[dict] = ()) -> None:
        if size < 1 or gap < 0 or jitter < 0:
            raise WrongValue(f'RelativePatches(size={size}, gap={gap}, jitter={jitter}): expected '
                             'a size of at least 1, and no pixels below 0')
        self.size, self.gap, self.jitter = size, gap, jitter
        self.patch = Compose(list(patch))

    @property
    def extent(self) -> int:
        """Side, in pixels, of what the grid and its jitter take."""
        return 3 * self.size + 2 * self.gap + 2 * self.jitter

    def transform(self, results: dict) -> dict:
        """Add ``views``."""
        image = results['img']
        scale = max(self.extent / min(image.shape[:2]), 1)
        if scale > 1:
            image = resize_image(image, tuple(math.ceil(side * scale - 1e-6)
                                              for side in image.shape[:2]))
        place = np.random.randint(len(PLACES))
        room = np.array(image.shape[:2]) - self.extent
        start = np.array([np.random.randint(side + 1) for side in room]) + self.jitter
        middle = start + self.size + self.gap
        corners = middle, middle + (self.size + self.gap) * np.array(PLACES[place])
        height, width = results['img'].shape[:2]
        whole = dict(img=image, box=np.array([0, 0, width, height], np.float32))
        results['views'] = []
        for corner in corners:
            y, x = corner + np.random.randint(-self.jitter, self.jitter + 1, 2)
            box = source_box((x, y, x + self.size, y + self.size), whole)
            view = self.patch({**results, 'img': image[y:y + self.size, x:x + self.size].copy(),
                               'box': box, 'flip': False})
            results['views'].append(view)
        results['views'][1].update(target=np.int64(place), mask=np.bool_(scale > 1))
        return results
