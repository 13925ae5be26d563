"""Read one image of any kind as a transform."""
from __future__ import annotations

from collections.abc import Sequence

from mmcv.transforms import BaseTransform

from mmdense.images.image_size import MAX_PIXELS
from mmdense.images.reading import Range, check_options, read_image
from mmdense.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadImage(BaseTransform):
    """Read the image in ``img_path``: see :func:`read_image` for what is read and how.

    Adds ``img`` (H, W, ``channels``), BGR where there are three, uint8 or, with ``to_float32``,
    float32, and ``img_shape`` and ``ori_shape``, both (H, W). Serves mmseg's pipelines as well.

    Args:
        channels: number of channels that the network takes.
        value_range, percentiles, to_float32, page: what the file's numbers mean, and which page of
            a TIFF; see :func:`read_image`.
        max_pixels: height times width that a file may declare, 100 megapixels by default.

    Raises:
        ImageReadError: the file cannot be used; the message names it.
        ValueError: a setting is out of its range.
    """

    def __init__(self, channels: int = 3, value_range: Range | Sequence[Range] | None = None,
                 percentiles: Range | None = None, to_float32: bool = False,
                 page: int | None = None, max_pixels: int = MAX_PIXELS) -> None:
        options = dict(value_range=value_range, percentiles=percentiles, to_float32=to_float32,
                       page=page, max_pixels=max_pixels)
        check_options(channels, **options)
        self.channels, self.options = channels, options

    def transform(self, results: dict) -> dict:
        """Return ``results`` with the image."""
        image = read_image(results['img_path'], self.channels, **self.options)
        results['img'] = image
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        return results
