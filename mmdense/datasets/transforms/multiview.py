"""Several views of one image, each by its own pipeline, with control over how far they overlap."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.dataset import Compose

from mmdense.mistakes import WrongValue
from mmdense.registry import TRANSFORMS

from .geometric import Box, RandomResizedCrop

TRIES = 20


def box_iou(a: Sequence[float], b: Sequence[float]) -> float:
    """Return the intersection over union of two half-open boxes (x0, y0, x1, y1)."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return width * height / (areas - width * height)


def draw_overlapping(crops: Sequence[RandomResizedCrop], height: int, width: int,
                     min_overlap: float) -> list[Box]:
    """Draw one crop per view, so that every two have an intersection over union >= ``min_overlap``.

    A crop is drawn up to ``TRIES`` times until it overlaps all crops before it. Where none did, the
    first crop is taken again: it overlaps all of them, since each was held against it.
    """
    boxes: list[Box] = []
    for crop in crops:
        for _ in range(TRIES):
            box = crop.draw(height, width)
            if all(box_iou(box, other) >= min_overlap for other in boxes):
                break
        else:
            box = boxes[0]
        boxes.append(box)
    return boxes


@TRANSFORMS.register_module()
class MultiView(BaseTransform):
    """Make ``results['views']``: a list of view dicts (see `geometric`), of one image.

    Args:
        views: one pipeline (a list of transforms) per kind of view; sizes may differ.
        num_views: how many views of each kind; one of each by default.
        min_overlap: the least intersection over union of the boxes of any two views, in [0, 1].

    Raises:
        ValueError: ``num_views`` does not fit ``views``, ``min_overlap`` is outside [0, 1], or it
            is above 0 and a view does not begin with ``mmdense.RandomResizedCrop``.
    """

    def __init__(self, views: Sequence[Sequence[dict]], num_views: Sequence[int] | None = None,
                 min_overlap: float = 0.0) -> None:
        num_views = [1] * len(views) if num_views is None else list(num_views)
        if len(num_views) != len(views) or not num_views or min(num_views) < 1:
            raise WrongValue(f'MultiView: num_views={num_views} must hold one number above 0 for '
                             f'each of the {len(views)} pipelines in views')
        if not 0 <= min_overlap <= 1:
            raise WrongValue(f'MultiView: min_overlap={min_overlap} must be in [0, 1]')
        pipelines = [Compose(view) for view in views]
        self.pipelines = [pipeline for pipeline, number in zip(pipelines, num_views, strict=True)
                          for _ in range(number)]
        self.min_overlap = min_overlap
        self.crops = [pipeline.transforms[0] if pipeline.transforms else None
                      for pipeline in self.pipelines]
        if min_overlap and not all(isinstance(crop, RandomResizedCrop) for crop in self.crops):
            raise WrongValue(f'MultiView: min_overlap={min_overlap} needs '
                             'mmdense.RandomResizedCrop as the first transform of every view')

    def transform(self, results: dict) -> dict:
        """Add ``views``.

        Raises:
            ValueError: the region map is not of the image's size.
        """
        height, width = results['img'].shape[:2]
        if 'regions' in results and results['regions'].shape != (height, width):
            raise WrongValue(f'{results.get("img_path", "the image")} is {(height, width)} but its '
                             f'region map is {results["regions"].shape}: they must be of one size')
        starts = [{} for _ in self.pipelines]
        if self.min_overlap:
            boxes = draw_overlapping(self.crops, height, width, self.min_overlap)
            starts = [dict(crop=box) for box in boxes]
        whole = dict(box=np.array([0, 0, width, height], np.float32), flip=False)
        results['views'] = [pipeline({**results, **whole, **start})
                            for pipeline, start in zip(self.pipelines, starts, strict=True)]
        return results
