"""Turned patches: against a slow loop, exact and invertible; labels, margins, jitter, mistakes."""
from __future__ import annotations

import numpy as np
import pytest
from references.patch_rotation import turned_image

from mmdense.datasets.transforms import MultiView, PackViews, PatchRotate
from mmdense.datasets.transforms.patches import rotate_patches


def image(height=24, width=36, channels=3, dtype=np.uint8):
    values = np.random.default_rng(0).integers(0, 256, (height, width, channels))
    return values.astype(dtype)


@pytest.fixture(autouse=True)
def _seed():
    np.random.seed(0)


@pytest.mark.parametrize('channels', [1, 3, 5])
@pytest.mark.parametrize('dtype', [np.uint8, np.uint16, np.float32])
def test_patches_are_turned_as_the_slow_loop_says(channels, dtype):
    """Any channels and types; the labels are numpy's quarter turns, and it can be undone."""
    given = image(channels=channels, dtype=dtype)
    before = given.copy()
    found = PatchRotate(grid=(2, 3))(dict(img=given))
    turns = found['gt_patch_rotation']
    assert turns.shape == (2, 3) and np.array_equal(given, before)
    assert found['img'].dtype == dtype
    assert np.array_equal(found['img'], turned_image(given, turns))
    for row in range(2):
        for column in range(3):
            at = np.s_[row * 12:row * 12 + 12, column * 12:column * 12 + 12]
            assert np.array_equal(found['img'][at], np.rot90(given[at], turns[row, column]))
            assert (found['gt_seg_map'][at] == turns[row, column]).all()
            assert (found['mask'][at] == row * 3 + column + 1).all()
    assert np.array_equal(rotate_patches(found['img'], -turns % 4), given)
    assert 'gt_seg_map' in found['seg_fields'] and found['target'] is turns


def test_angles_are_independent_and_equally_likely():
    rotate = PatchRotate(grid=(2, 2))
    drawn = np.stack([rotate(dict(img=image(8, 8)))['gt_patch_rotation'] for _ in range(2000)])
    assert np.abs(np.bincount(drawn.ravel(), minlength=4) / 8000 - 0.25).max() < 0.02
    pairs = drawn[:, 0, 0] * 4 + drawn[:, 0, 1]
    assert np.abs(np.bincount(pairs, minlength=16) / 2000 - 1 / 16).max() < 0.025


@pytest.mark.parametrize('jitter', [0, 5])
def test_margins_and_what_lies_outside_are_labelled_255(jitter):
    """Each pixel within two of a seam is the mean; the others are turned or as they were."""
    given = image(40, 40)
    found = PatchRotate(grid=(2, 2), margin=2, jitter=jitter)(dict(img=given))
    side, ids, labels = (40 - jitter) // 2, found['mask'], found['gt_seg_map']
    inside = ids > 0
    assert np.array_equal(labels == 255, ~inside)
    assert np.array_equal(labels[inside],
                          found['gt_patch_rotation'].ravel()[ids[inside] - 1])
    rows, columns = (np.flatnonzero(inside.any(axis)) for axis in (1, 0))
    border = 0 if not jitter else 2
    start = [at[0] - (border if at[0] else 0) for at in (rows, columns)]
    mean = np.rint(given.reshape(-1, 3).mean(0))
    seams = [{begin + side * number for number in range(3)} - {0, 40} for begin in start]
    plain = PatchRotate(grid=(2, 2), jitter=jitter)
    np.random.seed(0)
    whole = plain(dict(img=given))['img']
    for y in range(40):
        for x in range(40):
            near = [any(-2 <= at - seam < 2 for seam in lines)
                    for at, lines in zip((y, x), seams, strict=True)]
            reach = [begin - 2 <= at < begin + 2 * side + 2
                     for at, begin in zip((y, x), start, strict=True)]
            if (near[0] and reach[1]) or (near[1] and reach[0]):
                assert np.abs(found['img'][y, x] - mean).max() <= 1 and ids[y, x] == 0
            else:
                assert np.array_equal(found['img'][y, x], whole[y, x])


def test_the_origin_moves():
    starts = set()
    for _ in range(400):
        mask = PatchRotate(grid=(2, 2), jitter=4)(dict(img=image(20, 20)))['mask']
        starts.add(tuple(np.argwhere(mask)[0]))
    assert starts == {(y, x) for y in range(5) for x in range(5)}


def test_each_patch_is_distorted_by_itself():
    """After it is turned; what is outside the grid is not."""
    class Add:
        count = 0

        def __call__(self, results):
            self.count += 1
            return dict(img=results['img'] + np.uint8(self.count))
    rotate = PatchRotate(grid=(2, 2), jitter=4)
    rotate.distort = Add()
    given = np.full((20, 20, 3), 9, np.uint8)
    found = rotate(dict(img=given))
    assert np.array_equal(found['img'][..., 0], 9 + found['mask']) and rotate.distort.count == 4
    assert PatchRotate(distort=dict(type='mmdense.RandomGrayscale', prob=1.0)).distort is not None


@pytest.mark.parametrize('flip', [False, True])
def test_an_image_that_the_patches_do_not_fill_is_cropped_where_asked(flip):
    """Around its middle, and the view's box with it."""
    results = dict(img=image(26, 37), box=np.array([10, 20, 47, 46], np.float32), flip=flip)
    found = PatchRotate(grid=(2, 3), indivisible='crop')(results)
    assert found['img'].shape == (24, 36, 3)
    assert found['box'].tolist() == [11 if flip else 10, 21, 47 if flip else 46, 45]


def test_a_view_carries_angles_and_patches():
    views = MultiView(views=[[dict(type='mmdense.RandomResizedCrop', size=32),
                              dict(type='mmdense.PatchRotate', grid=(2, 2))]])
    sample = PackViews()(views(dict(img=image(50, 60))))['data_samples']
    assert sample.targets[0].shape == (2, 2) and sample.masks[0].shape == (32, 32)


@pytest.mark.situation('settings', 'patches that do not fill an image, or are too small', 'error',
                       'names file, size and grid, and what to set')
@pytest.mark.parametrize(('change', 'told'), [
    (dict(grid=(2, 4)), r'a.png of 24 x 36 pixels does not divide into 2 x 4 .*indivisible=.crop.'),
    (dict(grid=(2, 3), margin=6), 'patches of 12 pixels; expected more than 12, twice the margin'),
    (dict(grid=(30, 30)), 'patches of 0 pixels'),
    (dict(grid=(2, 2), jitter=40), 'patches of 0 pixels'),
    (dict(grid=(0, 2)), r'grid=\(0, 2\)'), (dict(margin=-1), 'margin=-1'),
    (dict(indivisible='pad'), "indivisible='pad'")])
def test_what_does_not_fit_is_told(change, told):
    with pytest.raises(ValueError, match=told):
        PatchRotate(**change)(dict(img=image(), img_path='a.png'))
