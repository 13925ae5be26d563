"""A batch of random views: where they lie, and whose regions they show."""
from __future__ import annotations

import torch

from mmdense.datasets.transforms.multiview import box_iou
from mmdense.models.random_batch import random_batch


def test_views_overlap_and_the_third_is_the_whole_image():
    images, views = random_batch(3, batch=40, size=24, channels=2)
    assert [tuple(image.shape) for image in images] == [(40, 2, 24, 24)] * 3
    assert views.sizes.tolist() == [[48, 48]] * 40 and views.index.tolist() == list(range(40))
    for first, second, whole in views.boxes.transpose(0, 1).tolist():
        assert whole == [0, 0, 48, 48]
        for x0, y0, x1, y1 in (first, second):
            assert 0 <= x0 <= 12 and 0 <= y0 <= 12 and 36 <= x1 <= 48 and 36 <= y1 <= 48
        assert 0.25 <= box_iou(first, second) < 1
    assert 0 < views.flips[:2].float().mean() < 1 and not views.flips[2].any()


def test_a_pixel_has_the_region_of_its_place_in_the_image():
    """Against a loop over the pixels of each view."""
    _, views = random_batch(3, batch=3, size=12, regions=7)     # a grid of 3 x 3, less two
    for view in range(3):
        for image in range(3):
            x0, y0, x1, y1 = views.boxes[view, image].double().tolist()
            for row in range(12):
                for column in range(12):
                    across = 11 - column if views.flips[view, image] else column
                    x, y = x0 + (x1 - x0) * (across + 0.5) / 12, y0 + (y1 - y0) * (row + 0.5) / 12
                    expected = min(int(y // 8) * 3 + int(x // 8) + 1, 7)
                    assert views.regions[view][image, row, column] == expected
    assert views.regions[2].unique().tolist() == list(range(1, 8)) and views.num_regions == 7
    assert views.regions[0].dtype == torch.int32
