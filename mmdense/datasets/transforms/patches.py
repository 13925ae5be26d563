"""Patch-level rotation: equal square patches of an image, each turned by itself."""
from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.dataset import Compose

from mmdense.mistakes import WrongValue
from mmdense.registry import TRANSFORMS

from .geometric import source_box

#: what cv2 turns, in a quarter of numpy's time: types, bytes of a pixel, and its names of quarters
CV2_TYPES = (np.uint8, np.uint16, np.int16, np.int32, np.float32, np.float64)
CV2_BYTES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
CV2_TURNS = (None, cv2.ROTATE_90_COUNTERCLOCKWISE, cv2.ROTATE_180, cv2.ROTATE_90_CLOCKWISE)
#: label of a pixel that counts for nothing
IGNORE = 255
#: what becomes of an image whose sides the patches do not fill, see :class:`PatchRotate`
INDIVISIBLE = ('error', 'crop')


def patches_of(image: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Return a view (rows, columns, s, s, …) of the square patches of an image (rows s, columns s).

    Writing to it writes to the image.
    """
    side = len(image) // rows
    return image.reshape(rows, side, columns, side, *image.shape[2:]).swapaxes(1, 2)


def turn_patch(patch: np.ndarray, quarter: int) -> np.ndarray:
    """Return ``numpy.rot90`` of a patch (s, s, C); by cv2 where it knows such pixels."""
    if patch.dtype not in CV2_TYPES or patch.shape[2] * patch.itemsize not in CV2_BYTES:
        return np.rot90(patch, quarter)
    return cv2.rotate(patch, CV2_TURNS[quarter]).reshape(patch.shape)


def rotate_patches(image: np.ndarray, turns: np.ndarray) -> np.ndarray:
    """Turn each of the equal square patches of an image by quarters, counter-clockwise.

    Turning back is ``rotate_patches(turned, -turns % 4)``.

    Args:
        image: (rows s, columns s, C).
        turns: (rows, columns) integers from 0 to 3, as ``numpy.rot90`` counts.
    """
    turned = np.array(image, order='C')
    source, target = (patches_of(one, *turns.shape) for one in (image, turned))
    for at in zip(*np.nonzero(turns), strict=True):
        target[at] = turn_patch(source[at], int(turns[at]))
    return turned


def mean_pixel(image: np.ndarray) -> np.ndarray:
    """Return the mean (C,) of an image (H, W, C), in its type."""
    pixels = image.reshape(-1, image.shape[2]).astype(np.float32)
    mean = np.full(len(pixels), 1 / len(pixels), np.float32) @ pixels
    return (np.rint(mean) if image.dtype.kind in 'iu' else mean).astype(image.dtype)


def seam_bands(start: int, side: int, count: int, length: int, margin: int) -> list[slice]:
    """Return the pixels of an axis within ``margin`` of a seam: where two patches, or a patch and
    what lies outside the grid, meet. The ends of the image are no seams.
    """
    seams = (start + side * number for number in range(count + 1))
    return [slice(max(seam - margin, 0), seam + margin) for seam in seams if 0 < seam < length]


@TRANSFORMS.register_module()
class PatchRotate(BaseTransform):
    """Turn equal square patches of an image by independent multiples of 90 degrees.

    Reads ``img`` (H, W, C) of any type and number of channels, and replaces it. Writes
    ``gt_patch_rotation`` (rows, columns) uint8, quarter turns counter-clockwise as ``numpy.rot90``
    counts, and ``gt_seg_map`` (H, W) uint8: the turns of each pixel's patch, 255 outside the grid
    and in margins. For ``mmdense.PackViews`` the turns are the view's ``target``, and ``mask``
    (H, W) has each pixel's patch: its number from 1, row by row, and 0 where the label is 255.

    ``grid`` alone moves the pixels of the patches and changes nothing else. The other options are
    against cues that are not in the content (docs/methods/plr.md).

    Args:
        grid: rows and columns of patches.
        margin: pixels on both sides of each seam that are filled with the image's mean.
        jitter: the grid begins up to so many pixels from the upper left corner, at random, and is
            that much smaller. What lies outside it stays as it is.
        distort: a transform or several, such as ``mmdense.ColorJitter``, that change ``img`` of
            each patch by itself.
        indivisible: what becomes of an image that the patches do not fill, without jitter:
            ``'error'``, or ``'crop'`` it around its middle.

    Raises:
        ValueError: a grid below 1 x 1, ``margin`` or ``jitter`` below 0, or another
            ``indivisible``.
    """

    def __init__(self, grid: Sequence[int] = (4, 4), margin: int = 0, jitter: int = 0,
                 distort: dict | Sequence[dict] | None = None, indivisible: str = 'error') -> None:
        self.grid = tuple(grid)
        if len(self.grid) != 2 or min(self.grid) < 1 or margin < 0 or jitter < 0:
            raise WrongValue(f'PatchRotate(grid={grid}, margin={margin}, jitter={jitter}): '
                             'expected (rows, columns) of at least 1, and no pixels below 0')
        if indivisible not in INDIVISIBLE:
            raise WrongValue(f'PatchRotate(indivisible={indivisible!r}): expected one of '
                             f'{INDIVISIBLE}')
        self.margin, self.jitter, self.indivisible = margin, jitter, indivisible
        distort = [distort] if isinstance(distort, dict) else distort
        self.distort = Compose(distort) if distort else None

    def lay(self, results: dict) -> tuple[int, int, int]:
        """Return side, first row and first column of the patches; crop the image if it must be.

        Raises:
            ValueError: the patches do not fill the image, or are too small for the margin.
        """
        (height, width), (rows, columns) = results['img'].shape[:2], self.grid
        side = min((height - self.jitter) // rows, (width - self.jitter) // columns)
        name = results.get('img_path', 'the image')
        if side <= 2 * self.margin:
            raise WrongValue(f'PatchRotate: {name} of {height} x {width} pixels has room for '
                             f'{rows} x {columns} patches of {max(side, 0)} pixels; expected more '
                             f'than {2 * self.margin}, twice the margin')
        top, left = height - rows * side, width - columns * side
        if self.jitter:
            return side, np.random.randint(top + 1), np.random.randint(left + 1)
        if top or left:
            if self.indivisible == 'error':
                raise WrongValue(f'PatchRotate: {name} of {height} x {width} pixels does not '
                                 f'divide into {rows} x {columns} equal square patches: resize or '
                                 "crop it before, or set indivisible='crop'")
            crop = left // 2, top // 2, left // 2 + columns * side, top // 2 + rows * side
            if 'box' in results:
                results['box'] = source_box(crop, results)
            results['img'] = results['img'][crop[1]:crop[3], crop[0]:crop[2]]
        return side, 0, 0

    def transform(self, results: dict) -> dict:
        """Replace ``img`` and write the labels.

        Raises:
            ValueError: as of :meth:`lay`.
        """
        side, top, left = self.lay(results)
        (rows, columns), image = self.grid, results['img']
        turns = np.random.randint(4, size=self.grid, dtype=np.uint8)
        inside = (slice(top, top + rows * side), slice(left, left + columns * side))
        turned = image.copy()
        turned[inside] = rotate_patches(image[inside], turns)
        if self.distort is not None:
            for row in patches_of(turned[inside], rows, columns):
                for patch in row:
                    patch[:] = self.distort(dict(img=np.ascontiguousarray(patch)))['img']
        labels = np.full(image.shape[:2], IGNORE, np.uint8)
        mask = np.zeros(image.shape[:2], np.uint8 if rows * columns < 256 else np.int32)
        numbers = np.arange(1, rows * columns + 1).reshape(self.grid)
        for pixels, values in ((labels, turns), (mask, numbers)):
            patches_of(pixels[inside], rows, columns)[:] = values[..., None, None]
        if self.margin:
            mean = mean_pixel(image)
            wide = [slice(max(at.start - self.margin, 0), at.stop + self.margin) for at in inside]
            bands = [(band, wide[1]) for band in
                     seam_bands(top, side, rows, len(image), self.margin)] + [
                (wide[0], band) for band in
                seam_bands(left, side, columns, image.shape[1], self.margin)]
            for band in bands:
                turned[band], labels[band], mask[band] = mean, IGNORE, 0
        results.update(img=turned, gt_patch_rotation=turns, gt_seg_map=labels, target=turns,
                       mask=mask)
        results['seg_fields'] = [*dict.fromkeys([*results.get('seg_fields', ()), 'gt_seg_map'])]
        return results
