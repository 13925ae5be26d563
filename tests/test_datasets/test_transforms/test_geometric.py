"""An image whose levels are its coordinates proves boxes, flips and region maps."""
from __future__ import annotations

import numpy as np
import pytest
import torch
import torchvision.transforms as reference

from mmdense.datasets.transforms import RandomFlip, RandomResizedCrop
from mmdense.datasets.transforms.geometric import draw_crop

ASPECT = (3 / 4, 4 / 3)


def coordinates(height: int, width: int, extra: int = 0) -> np.ndarray:
    """Float image (H, W, 2 + extra): channel 0 is the x of a pixel's centre, channel 1 its y."""
    y, x = np.mgrid[:height, :width].astype(np.float32) + 0.5
    return np.stack([x, y] + [x + y] * extra, axis=-1)


def expected_coordinates(box: np.ndarray, flip: bool, size: tuple[int, int]) -> np.ndarray:
    """Source x and y (h, w, 2) of a view's pixel centres, from its box and flip alone."""
    h, w = size
    x = box[0] + (np.arange(w) + 0.5) / w * (box[2] - box[0])
    y = box[1] + (np.arange(h) + 0.5) / h * (box[3] - box[1])
    return np.stack(np.meshgrid(x[::-1] if flip else x, y), axis=-1)


def clip_to_centres(points: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Bilinear enlarging repeats what lies outside the outermost pixels' centres."""
    return np.clip(points, box[:2] + 0.5, box[2:] - 0.5)


def make_view(results: dict, size: tuple[int, int], flip: float = 0.5) -> dict:
    return RandomFlip(flip)(RandomResizedCrop(size)(results))


@pytest.mark.parametrize('size', [(64, 64), (40, 90), (250, 200), (9, 7)])
@pytest.mark.parametrize('extra', [0, 5])
def test_box_and_flip_say_where_every_pixel_comes_from(size, extra):
    np.random.seed(0)
    flips = set()
    for _ in range(20):
        view = make_view(dict(img=coordinates(120, 170, extra)), size)
        flips.add(view['flip'])
        assert view['img'].shape == (*size, 2 + extra)
        assert view['box'].dtype == np.float32 and view['box'].shape == (4,)
        expected = expected_coordinates(view['box'], view['flip'], size)
        error = np.abs(view['img'][..., :2] - clip_to_centres(expected, view['box']))
        shrink = (view['box'][2:] - view['box'][:2]) / size[::-1]
        # cv2's mean over a fractional area is a tenth of a pixel off; bilinear is exact
        assert (error.max((0, 1)) < np.where(shrink > 2, 0.15, 1e-3)).all()
    assert flips == {True, False}


@pytest.mark.parametrize('size', [(64, 48), (200, 260)])
def test_region_map_takes_the_id_at_the_centre_of_each_pixel(size):
    np.random.seed(1)
    height, width = 120, 170
    regions = np.arange(height * width).reshape(height, width)
    for _ in range(20):
        view = make_view(dict(img=coordinates(height, width), regions=regions), size)
        x, y = np.moveaxis(expected_coordinates(view['box'], view['flip'], size), -1, 0)
        found_y, found_x = np.divmod(view['regions'], width)
        # exact but where a centre falls on the line between two source pixels
        assert (np.abs(found_x + 0.5 - x) <= 0.5 + 1e-4).all()
        assert (np.abs(found_y + 0.5 - y) <= 0.5 + 1e-4).all()


def test_region_map_at_the_crops_own_size_is_the_crop():
    regions = np.random.RandomState(0).randint(0, 2**20, (50, 60))
    view = RandomResizedCrop((30, 20))(
        dict(img=coordinates(50, 60), regions=regions, crop=(7, 11, 27, 41)))
    assert (view['regions'] == regions[11:41, 7:27]).all()
    assert (view['img'] == coordinates(50, 60)[11:41, 7:27]).all()
    assert view['box'].tolist() == [7, 11, 27, 41] and 'crop' not in view


@pytest.mark.parametrize('flip', [0.0, 1.0])
def test_crop_of_a_view_is_recorded_in_source_pixels(flip):
    np.random.seed(2)
    for _ in range(10):
        view = make_view(dict(img=coordinates(300, 400)), (160, 160), flip)
        view = make_view(view, (40, 40), flip)
        assert view['flip'] is False
        expected = expected_coordinates(view['box'], False, (40, 40))
        assert np.abs(view['img'] - expected)[2:-2, 2:-2].max() < 0.15


def test_strong_shrinking_does_not_alias():
    """A one-pixel checkerboard shrunk by 5.5 is grey, as the mean over each pixel's area is."""
    y, x = np.mgrid[:880, :880]
    for channels in (3, 6):
        board = np.repeat(((x + y) % 2 * 255).astype(np.uint8)[..., None], channels, -1)
        for size in ((160, 160), (160, 900), (900, 160)):
            view = RandomResizedCrop(size)(dict(img=board, crop=(0, 0, 880, 880)))
            assert np.abs(view['img'].astype(int) - 127).max() <= 16


@pytest.mark.parametrize('shape', [(321, 481), (128, 128), (60, 300), (300, 30), (1, 1), (5, 3)])
def test_crops_equal_torchvision_given_its_random_numbers(monkeypatch, shape):
    monkeypatch.setattr(np.random, 'uniform',
                        lambda low, high: torch.empty(1).uniform_(low, high).item())
    monkeypatch.setattr(np.random, 'randint',
                        lambda low, high: torch.randint(low, high, (1,)).item())
    for seed in range(50):
        torch.manual_seed(seed)
        y0, x0, h, w = reference.RandomResizedCrop.get_params(
            torch.empty(1, *shape), (0.2, 1.0), ASPECT)
        torch.manual_seed(seed)
        # its draw of the aspect is in float32, ours in float64: a side may round the other way
        box = draw_crop(*shape, (0.2, 1.0), ASPECT)
        assert np.abs(np.subtract(box, (x0, y0, x0 + w, y0 + h))).max() <= 1


@pytest.mark.parametrize('shape, box', [
    ((10, 1000), (493, 0, 506, 10)),            # widest allowed: 10 * 4/3 = 13, centred
    ((1000, 12), (0, 492, 12, 508)),            # narrowest allowed: 12 / (3/4) = 16, centred
    ((1, 50), (24, 0, 25, 1)),
    ((1, 1), (0, 0, 1, 1)),
])
def test_extreme_images_fall_back_to_the_central_crop(shape, box):
    np.random.seed(0)
    assert draw_crop(*shape, (0.9, 1.0), ASPECT) == box
    y0, x0, h, w = reference.RandomResizedCrop.get_params(torch.empty(1, *shape), (0.9, 1.), ASPECT)
    assert (x0, y0, x0 + w, y0 + h) == box
    view = RandomResizedCrop(16)(dict(img=np.full((*shape, 3), 9, np.uint8)))
    assert (view['img'] == 9).all() and view['img'].shape == (16, 16, 3)


def test_areas_and_aspects_are_drawn_as_documented():
    """Area uniform in (0.2, 0.5), log aspect uniform; these crops always fit at the first draw."""
    np.random.seed(0)
    boxes = np.array([draw_crop(400, 400, (0.2, 0.5), ASPECT) for _ in range(4000)])
    w, h = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    areas = w * h / 400**2
    assert np.allclose(np.quantile(areas, [0, 0.25, 0.5, 0.75, 1]),
                       [0.2, 0.275, 0.35, 0.425, 0.5], atol=0.01)
    logs = np.log(w / h) / np.log(4 / 3)
    assert np.allclose(np.quantile(logs, [0, 0.25, 0.5, 0.75, 1]), [-1, -.5, 0, .5, 1], atol=0.05)
    assert abs((boxes[:, 0] / (400 - w)).mean() - 0.5) < 0.02
    assert abs((boxes[:, 1] / (400 - h)).mean() - 0.5) < 0.02
    assert boxes.min() == 0 and boxes.max() == 400


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize('channels', [1, 3, 4, 7])
def test_channels_and_types_are_kept(dtype, channels):
    np.random.seed(0)
    image = np.random.randint(0, 255, (50, 61, channels)).astype(dtype)
    view = make_view(dict(img=image.copy()), (20, 20), 1.0)
    assert view['img'].shape == (20, 20, channels) and view['img'].dtype == dtype
    assert view['img_shape'] == (20, 20)
    view = RandomFlip(1.0)(dict(img=image))
    assert (view['img'] == image[:, ::-1]).all() and view['flip'] is True


def test_flip_happens_as_often_as_asked():
    np.random.seed(0)
    image = np.zeros((2, 2, 3), np.uint8)
    for prob, low, high in ((0.0, 0, 0), (0.3, 0.26, 0.34), (1.0, 1, 1)):
        share = np.mean([RandomFlip(prob)(dict(img=image))['flip'] for _ in range(2000)])
        assert low <= share <= high


@pytest.mark.parametrize('options, message', [
    (dict(size=0), 'size=0'), (dict(size=(1, 2, 3)), 'size='),
    (dict(size=8, area=(0.5, 0.2)), 'area='), (dict(size=8, area=(0.0, 1.2)), 'area='),
    (dict(size=8, aspect=(2, 1)), 'aspect='),
])
def test_wrong_options_of_the_crop_are_named(options, message):
    with pytest.raises(ValueError, match=f'RandomResizedCrop: {message}'):
        RandomResizedCrop(**options)


def test_wrong_probability_of_the_flip_is_named():
    with pytest.raises(ValueError, match='RandomFlip: prob=1.5'):
        RandomFlip(1.5)
