"""Grid, scikit-image's segmenters, labels, and how well regions fit human ones."""
from __future__ import annotations

import numpy as np
import pytest

from mmdense.regions import (
    METHODS,
    compact_regions,
    grid_regions,
    instance_regions,
    make_regions,
    resolve_options,
    semantic_regions,
    skimage_regions,
)
from mmdense.regions.folder import settings_of
from mmdense.regions.quality import (
    achievable_accuracy,
    boundaries,
    boundary_recall,
    covering,
)


def halves(height: int = 40, width: int = 60) -> np.ndarray:
    image = np.zeros((height, width, 3), np.uint8)
    image[:, width // 2:] = (200, 40, 90)
    return image


@pytest.mark.parametrize('method', METHODS)
def test_every_method_gives_ids_from_1(method):
    regions = make_regions(halves(), method, **(dict(cells=(2, 4)) if method == 'grid' else {}))
    assert regions.shape == (40, 60) and regions.dtype == np.int32
    assert np.array_equal(np.unique(regions), np.arange(1, regions.max() + 1))


@pytest.mark.parametrize('channels', [1, 4])
@pytest.mark.parametrize('method', METHODS)
def test_every_method_takes_any_number_of_channels(method, channels):
    image = np.repeat(halves()[..., :1], channels, axis=2)
    regions = make_regions(image, method)
    assert regions.shape == (40, 60) and regions.min() == 1


def test_a_grid_is_of_equal_cells_in_reading_order():
    regions = grid_regions(halves(), 5)
    assert np.array_equal(np.bincount(regions.ravel()), [0] + [96] * 25)
    assert regions[0, 0] == 1 and regions[0, -1] == 5 and regions[-1, -1] == 25
    assert grid_regions(halves(), (1, 2))[0].tolist() == [1] * 30 + [2] * 30
    assert grid_regions(halves(7, 7), 3).max() == 9      # sizes that do not divide
    for cells in (0, 1.5, (2, 3, 4), (41, 1)):
        with pytest.raises(ValueError, match='grid: cells='):
            grid_regions(halves(), cells)


def test_slic_finds_the_two_halves():
    regions = skimage_regions(halves(), 'slic', n_segments=2, sigma=0)
    assert covering(regions, grid_regions(halves(), (1, 2))) > 0.99


@pytest.mark.parametrize('method, options, message', [
    ('mcg', {}, "'mcg'; expected one of fh, grid, slic"),
    ('fh', dict(size=4), "'fh' has no option size; expected some of scale, sigma, min_size"),
    ('fh', dict(scale=-4), 'scale=-4'),
    ('slic', dict(segments=4), 'slic: .*segments')])
def test_wrong_settings_are_said_before_the_first_image(method, options, message):
    with pytest.raises(ValueError, match=message):
        resolve_options(method, options)
    with pytest.raises(ValueError, match=message):
        make_regions(halves(), method, **options)


def test_how_many_cells_fit_is_the_images_affair():
    assert resolve_options('grid', dict(cells=[600, 2])) == dict(cells=[600, 2])
    assert make_regions(halves(700, 700), 'grid', cells=600).max() == 360_000
    with pytest.raises(ValueError, match='cells=600 in an image of 60x40 pixels'):
        make_regions(halves(), 'grid', cells=600)
    for cells in (0, 1.5, 'a', (2, 3, 4), None, float('inf')):
        with pytest.raises(ValueError, match='grid: cells=.*expected a whole number from 1, or tw'):
            resolve_options('grid', dict(cells=cells))


def test_numbers_of_numpy_are_numbers():
    image = np.random.default_rng(0).integers(0, 255, (40, 60, 3)).astype(np.uint8)
    one = make_regions(image, 'fh', scale=3.0, sigma=0.5, min_size=0.0625)
    other = make_regions(image, 'fh', scale=np.float32(3), sigma=np.float32(0.5),
                         min_size=np.float32(0.0625))
    assert np.array_equal(one, other) and one.max() > 1
    assert settings_of('fh', dict(scale=np.float32(3)), '.png')['options']['scale'] == 3


def test_defaults_are_part_of_the_settings():
    assert resolve_options('fh', dict(scale=5)) == dict(scale=5, sigma=0.8, min_size=1000)
    with pytest.raises(ValueError, match="'cat' is no segmenter"):
        skimage_regions(halves(), 'cat')


def test_compaction_keeps_order_and_never_wraps():
    ids = np.array([[0, 300, 70000], [2 ** 40, 300, 0]])
    assert compact_regions(ids).tolist() == [[0, 1, 2], [3, 1, 0]]
    assert compact_regions(np.array([[7, 9]], np.uint16)).tolist() == [[1, 2]]
    assert compact_regions(np.array([[2 ** 40, 2 ** 41]])).tolist() == [[1, 2]]
    assert compact_regions(np.zeros((2, 2), np.uint8)).tolist() == [[0, 0], [0, 0]]
    for wrong in (np.array([[-1]]), np.zeros((2, 2)), np.zeros((2, 2, 3), int)):
        with pytest.raises(ValueError, match='region ids'):
            compact_regions(wrong)


def test_classes_become_regions_and_255_none():
    labels = np.array([[0, 1, 255], [254, 0, 1]], np.uint8)
    assert semantic_regions(labels).tolist() == [[1, 2, 0], [255, 1, 2]]
    assert semantic_regions(labels, background=0).tolist() == [[0, 2, 0], [255, 0, 2]]
    assert semantic_regions(labels, ignore_index=None)[0, 2] == 256      # and not 0
    with pytest.raises(ValueError, match='class numbers'):
        semantic_regions(labels.astype(np.float32))


def test_instances_of_any_number():
    ids = np.array([[0, 26001], [255, 26002]])
    assert instance_regions(ids).tolist() == [[0, 2], [1, 3]]
    assert instance_regions(ids, ignore_index=255).tolist() == [[0, 1], [0, 2]]


def test_quality_of_the_right_the_shifted_and_the_split_regions():
    human = grid_regions(halves(), (1, 2))
    for measure in (boundary_recall, achievable_accuracy, covering):
        assert measure(human, human) == 1
        assert measure(human * 0 + 1, human * 0 + 1) == 1
    shifted = np.roll(human, 2, axis=1)
    shifted[:, :2] = 1
    assert boundary_recall(shifted, human, 2) == 1 and boundary_recall(shifted, human, 1) == 0
    assert achievable_accuracy(shifted, human) == pytest.approx(1 - 2 / 60)
    assert covering(shifted, human) == pytest.approx((30 / 32 + 28 / 30) / 2)
    split = grid_regions(halves(), (2, 4))
    assert achievable_accuracy(split, human) == 1 == boundary_recall(split, human)
    assert covering(split, human) == 0.25
    assert boundary_recall(human, split) < 0.5          # precision is the swapped one
    one = np.ones_like(human)
    assert boundary_recall(one, human) == 0 and covering(one, human) == 0.5
    assert achievable_accuracy(np.zeros_like(human), human) == 0    # no region is right nowhere
    assert boundaries(human).sum() == 40
