"""Views of predictive pretexts: neighbouring patches, colours to predict, channels dropped."""
from __future__ import annotations

import cv2
import numpy as np
import pytest

from mmdense.datasets.transforms import (
    ColourTarget,
    DropChannels,
    PackViews,
    RelativePatches,
    ToLightness,
)
from mmdense.datasets.transforms.relative import PLACES


@pytest.fixture(autouse=True)
def _seed():
    np.random.seed(0)


def coordinates(height, width):
    """An image whose pixels are their own row and column."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows, columns, 0 * rows], 2).astype(np.uint8)


def test_neighbours_lie_where_their_class_says():
    """Distance and direction with jitter, the boxes, and that every place is drawn."""
    seen = []
    for _ in range(200):
        results = RelativePatches(size=20, gap=10, jitter=3)(dict(img=coordinates(120, 150)))
        middle, other = results['views']
        place = PLACES[int(other['target'])]
        assert middle['img'].shape == other['img'].shape == (20, 20, 3) and not other['mask']
        for view in (middle, other):
            x0, y0, x1, y1 = view['box']
            assert (x1 - x0, y1 - y0) == (20, 20)
            assert view['img'][0, 0, :2].tolist() == [y0, x0]
        moved = other['box'][[1, 0]] - middle['box'][[1, 0]] - 30 * np.array(place)
        assert np.abs(moved).max() <= 6
        seen.append((int(other['target']), *moved))
    places, downs, rights = map(np.array, zip(*seen, strict=True))
    assert set(places) == set(range(8))
    assert set(downs) == set(rights) == set(range(-6, 7))


def test_small_images_are_enlarged_and_this_is_told():
    """Boxes stay in pixels of the image as it came."""
    results = RelativePatches(size=20, gap=10, jitter=3)(dict(img=coordinates(43, 86)))
    middle, other = results['views']
    assert other['mask'] and middle['img'].shape == (20, 20, 3)
    x0, y0, x1, y1 = middle['box']
    assert x1 - x0 == pytest.approx(10) and y1 - y0 == pytest.approx(10)
    assert middle['img'][10, 10, :2].tolist() == pytest.approx([y0 + 5, x0 + 5], abs=1)
    packed = PackViews()(results)['data_samples']
    assert packed.targets[0] is None and packed.targets[1].item() == other['target']
    assert packed.masks[1].item() is True


def test_a_patch_is_changed_by_itself():
    change = dict(type='mmdense.DropChannels')
    views = RelativePatches(size=20, gap=2, jitter=0, patch=[change])(
        dict(img=np.random.randint(0, 256, (80, 80, 3), np.uint8)))['views']
    for view in views:
        spread = np.sort(view['img'].reshape(-1, 3).astype(float).std(0))
        assert spread[2] > 50 and spread[1] < 1.5


def test_one_channel_is_left():
    image = np.random.randint(0, 256, (40, 40, 3), np.uint8)
    kept = set()
    for _ in range(30):
        found = DropChannels()(dict(img=image))['img']
        same = [channel for channel in range(3)
                if np.array_equal(found[..., channel], image[..., channel])]
        assert len(same) == 1
        kept.add(same[0])
        others = np.delete(found, same[0], 2)
        assert abs(others.mean() - 128) < 0.5 and others.std() < 1.5
    assert kept == {0, 1, 2}
    assert np.array_equal(DropChannels(prob=0)(dict(img=image))['img'], image)


def test_lightness_is_that_of_lab():
    image = np.random.randint(0, 256, (8, 9, 3), np.uint8)
    found = ToLightness()(dict(img=image))['img']
    light = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_BGR2LAB)[..., :1] * 2.55
    assert np.abs(found - light).max() <= 1.01 and found.shape == image.shape


@pytest.mark.parametrize('stride', [1, 4])
def test_colours_are_the_means_of_cells(stride):
    image = np.random.randint(0, 256, (17, 23, 3), np.uint8)
    found = ColourTarget(stride=stride)(dict(img=image))
    lab = cv2.cvtColor(image, cv2.COLOR_BGR2LAB).astype(float)
    rows, columns = 17 // stride, 23 // stride
    assert found['target'].shape == (2, rows, columns) and found['mask']
    assert np.array_equal(found['img'], np.repeat(lab[..., :1], 3, 2))
    if stride == 1:
        assert np.array_equal(found['target'], lab[..., 1:].transpose(2, 0, 1))
    else:                                   # cells are a little larger than the stride
        whole = cv2.resize(lab[..., 1:], (columns, rows), interpolation=cv2.INTER_AREA)
        assert np.abs(found['target'] - whole.transpose(2, 0, 1)).max() <= 1


@pytest.mark.situation('images', 'grey images in colourisation', 'works',
                       "left out of the loss and counted in the log; grey='error' ends the run")
def test_grey_images_are_left_out_or_told():
    grey = np.random.randint(0, 256, (16, 16, 1), np.uint8).repeat(3, 2)
    assert not ColourTarget()(dict(img=grey))['mask']
    with pytest.raises(ValueError, match=r"a.png is grey.*or grey='skip'"):
        ColourTarget(grey='error')(dict(img=grey, img_path='a.png'))


@pytest.mark.parametrize(('make', 'told'), [
    (lambda: RelativePatches(size=0), 'size=0'), (lambda: RelativePatches(gap=-1), 'gap=-1'),
    (lambda: ColourTarget(stride=0), 'stride=0'),
    (lambda: ColourTarget(grey='drop'), "grey='drop'"),
    (lambda: ColourTarget()(dict(img=np.zeros((9, 9, 1), np.uint8))), '3 channels of uint8'),
    (lambda: ColourTarget(stride=10)(dict(img=np.zeros((9, 9, 3), np.uint8))), 'no cell of 10'),
    (lambda: ToLightness()(dict(img=np.zeros((9, 9, 3), np.float32))), 'needs uint8 images'),
    (lambda: ToLightness()(dict(img=np.zeros((9, 9, 1), np.uint8))), 'needs 3 channels, got 1')])
def test_what_does_not_fit_is_told(make, told):
    with pytest.raises(ValueError, match=told):
        make()
