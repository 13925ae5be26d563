from __future__ import annotations

import numpy as np
import pytest

from mmdense.datasets.transforms import MultiView
from mmdense.datasets.transforms.multiview import box_iou
from mmdense.registry import TRANSFORMS


def crop(size: int, area: tuple[float, float] = (0.2, 1.0)) -> dict:
    return dict(type='mmdense.RandomResizedCrop', size=size, area=area)


FLIP = dict(type='mmdense.RandomFlip', prob=0.5)


def image(height: int = 90, width: int = 130) -> dict:
    return dict(img=np.random.RandomState(0).randint(0, 256, (height, width, 3), np.uint8))


@pytest.mark.parametrize('a, b, iou', [
    ((0, 0, 4, 4), (0, 0, 4, 4), 1), ((0, 0, 4, 4), (4, 0, 8, 4), 0),
    ((0, 0, 4, 4), (2, 0, 6, 4), 1 / 3), ((0, 0, 4, 4), (1, 1, 3, 3), 1 / 4),
])
def test_box_iou(a, b, iou):
    assert box_iou(a, b) == pytest.approx(iou) == box_iou(b, a)


def test_views_differ_in_number_pipeline_and_size():
    np.random.seed(0)
    views = TRANSFORMS.build(dict(
        type='mmdense.MultiView', num_views=[2, 6],
        views=[[crop(48), FLIP], [crop(24, (0.05, 0.14)), FLIP]]))(image())['views']
    assert [view['img'].shape[0] for view in views] == [48] * 2 + [24] * 6
    areas = [(v['box'][2] - v['box'][0]) * (v['box'][3] - v['box'][1]) / (90 * 130) for v in views]
    assert min(areas[:2]) > 0.19 and max(areas[2:]) < 0.15
    assert len({tuple(view['box']) for view in views}) == 8
    assert {view['flip'] for view in views} == {True, False}


def test_a_view_without_crop_is_the_whole_image():
    results = image()
    before = results['img'].copy()
    one, two = MultiView([[], [dict(type='mmdense.Solarize', prob=1.0)]])(results)['views']
    assert one['box'].tolist() == [0, 0, 130, 90] and one['flip'] is False
    assert (one['img'] == before).all() and (two['img'] != before).any()
    assert (results['img'] == before).all()


@pytest.mark.parametrize('num_views', [2, 4])
def test_min_overlap_holds_for_every_pair(num_views):
    np.random.seed(0)
    multi = MultiView([[crop(8), FLIP]], [num_views], min_overlap=0.4)
    fresh = 0
    for _ in range(300):
        boxes = [view['box'] for view in multi(image())['views']]
        pairs = [(a, b) for i, a in enumerate(boxes) for b in boxes[:i]]
        assert min(box_iou(a, b) for a, b in pairs) >= 0.4 - 1e-6
        fresh += all((a != b).any() for a, b in pairs)
    assert fresh > 150                                # the fallback is not the rule


def test_without_min_overlap_views_do_miss_each_other():
    np.random.seed(0)
    multi = MultiView([[crop(8, (0.2, 0.3))]], [2])
    overlaps = [box_iou(*(view['box'] for view in multi(image())['views'])) for _ in range(200)]
    assert min(overlaps) == 0


def test_what_no_draw_satisfies_falls_back_to_the_first_box():
    """A crop of a tenth never overlaps one of nine tenths by 0.9."""
    np.random.seed(0)
    multi = MultiView([[crop(16, (0.9, 1.0))], [crop(8, (0.05, 0.1))]], [1, 2], min_overlap=0.9)
    for _ in range(20):
        views = multi(image())['views']
        assert all((view['box'] == views[0]['box']).all() for view in views)
        assert [view['img'].shape[0] for view in views] == [16, 8, 8]


def test_same_seed_same_views():
    multi = MultiView([[crop(16), FLIP]], [2], min_overlap=0.3)
    runs = []
    for seed in (0, 0, 1):
        np.random.seed(seed)
        runs.append(multi(image())['views'])
    assert all((a['img'] == b['img']).all() for a, b in zip(runs[0], runs[1], strict=True))
    assert any((a['box'] != b['box']).any() for a, b in zip(runs[0], runs[2], strict=True))


def test_regions_of_another_size_are_named():
    with pytest.raises(ValueError, match=r'x.jpg is \(90, 130\).*region map is \(90, 131\)'):
        MultiView([[crop(8)]])(dict(image(), regions=np.zeros((90, 131), int), img_path='x.jpg'))


@pytest.mark.parametrize('options, message', [
    (dict(views=[[crop(8)]], num_views=[1, 1]), 'num_views='),
    (dict(views=[], num_views=[]), 'num_views='),
    (dict(views=[[crop(8)]], num_views=[0]), 'num_views='),
    (dict(views=[[crop(8)]], min_overlap=1.5), 'min_overlap=1.5'),
    (dict(views=[[FLIP, crop(8)]], min_overlap=0.5), 'first transform of every view'),
    (dict(views=[[crop(8)], []], min_overlap=0.5), 'first transform of every view'),
])
def test_wrong_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        MultiView(**options)
