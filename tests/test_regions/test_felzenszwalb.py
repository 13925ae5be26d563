"""The compiled Felzenszwalb-Huttenlocher makes scikit-image's partition."""
from __future__ import annotations

import os
import subprocess
import sys

import cv2
import numpy as np
import pytest
from skimage import segmentation

from mmdense.regions import felzenszwalb, felzenszwalb_kernel


def picture(seed: int, height: int = 90, width: int = 120, channels: int = 3) -> np.ndarray:
    """Blobs of several sizes with noise on them, so that there is something to segment."""
    rng = np.random.default_rng(seed)
    layers = [cv2.resize(rng.uniform(0, 255, (side, side, channels)), (width, height),
                         interpolation=cv2.INTER_NEAREST) for side in (3, 7)]
    noise = rng.normal(0, 6, (height, width, channels))
    image = (sum(layers).reshape(noise.shape) / 2 + noise).clip(0, 255)
    return image.astype(np.uint8)


def agreement(found: np.ndarray, wanted: np.ndarray) -> float:
    """Share of pixels of the best one-to-one matching of two partitions (greedy)."""
    pairs, counts = np.unique(np.stack([found.ravel(), wanted.ravel()]), axis=1,
                              return_counts=True)
    used, total = (set(), set()), 0
    for at in counts.argsort()[::-1]:
        a, b = pairs[:, at]
        if a not in used[0] and b not in used[1]:
            used[0].add(a)
            used[1].add(b)
            total += counts[at]
    return total / found.size


@pytest.mark.parametrize('scale, sigma, min_size', [
    (1000, 0.8, 1000), (300, 0.8, 100), (100, 0.8, 20), (50, 0.5, 5), (5, 0.4, 0), (10, 2.5, 30)])
@pytest.mark.parametrize('channels', [1, 3])
def test_the_partition_is_scikit_images(scale, sigma, min_size, channels):
    for seed in range(3):
        image = picture(seed, channels=channels)
        found = felzenszwalb(image, scale, sigma, min_size)
        wanted = segmentation.felzenszwalb(image, scale, sigma, min_size)
        assert found.max() == len(np.unique(found)) and found.min() == 1
        assert agreement(found, wanted) >= 0.995
        assert found.max() == wanted.max() + 1


@pytest.mark.parametrize('shape', [(1, 40), (40, 1), (1, 1), (2, 2), (5, 300)])
def test_thin_images(shape):
    image = picture(0, *shape)
    wanted = segmentation.felzenszwalb(image, 20, 0.8, 4)
    assert agreement(felzenszwalb(image, 20, 0.8, 4), wanted) == 1


def test_grey_without_an_axis_and_many_channels():
    grey = picture(1, channels=1)
    assert np.array_equal(felzenszwalb(grey[..., 0], 100), felzenszwalb(grey, 100))
    assert np.array_equal(felzenszwalb(np.repeat(picture(1), 3, axis=2), 300, 0.8, 9) > 0,
                          np.ones((90, 120), bool))


def test_one_region_and_more_than_255():
    assert (felzenszwalb(np.full((30, 30, 3), 7, np.uint8)) == 1).all()
    regions = felzenszwalb(picture(3), scale=1, sigma=0, min_size=0)
    assert regions.max() > 255 and len(np.unique(regions)) == regions.max()
    first = np.unique(regions, return_index=True)[1]
    assert (np.diff(first) > 0).all()       # numbered in reading order


def test_a_least_size_is_pixels_or_a_share_of_the_area():
    image = picture(4)
    share = felzenszwalb(image, 30, 0.8, 0.01)
    assert np.array_equal(share, felzenszwalb(image, 30, 0.8, round(0.01 * image[..., 0].size)))
    assert np.bincount(share.ravel())[1:].min() >= 108
    assert felzenszwalb(image, 30, 0.8, 1).max() > share.max()


@pytest.mark.parametrize('change, message', [
    (dict(image=np.zeros((4, 4, 3))), 'type float64; expected'),
    (dict(image=np.zeros((0, 4, 3), np.uint8)), r'shape \(0, 4, 3\)'),
    (dict(min_size=1.5), 'min_size=1.5; expected pixels'), (dict(min_size=-1), 'min_size=-1'),
    (dict(min_size=True), 'min_size=True'), (dict(scale=-1), 'scale=-1; expected a number'),
    (dict(sigma=float('nan')), 'sigma=nan'), (dict(scale='x'), "scale='x'")])
def test_what_it_does_not_take_is_said(change, message):
    with pytest.raises(ValueError, match=message):
        felzenszwalb(**{'image': np.zeros((4, 4, 3), np.uint8), **change})


def test_a_view_of_other_strides_gives_the_same():
    image = picture(5)
    for view in (image[::-1, ::-1], image.transpose(1, 0, 2), image[..., ::-1]):
        for sigma in (0, 0.8):
            assert np.array_equal(felzenszwalb(view, 50, sigma, 9),
                                  felzenszwalb(view.copy(order='C'), 50, sigma, 9))
    assert len(felzenszwalb_kernel.partition.signatures) == 1       # compiled once for all


def test_without_any_folder_for_its_cache_it_is_compiled_in_memory(monkeypatch):
    def njit(cache=False, **options):
        if cache:
            raise RuntimeError('cannot cache function: no locator available')
        return lambda function: (function, options)

    monkeypatch.setattr(felzenszwalb_kernel.numba, 'njit', njit)
    assert felzenszwalb_kernel.compiled(len) == (len, dict(nogil=True))


def test_a_second_process_and_a_forked_one_do_not_compile(tmp_path, repo):
    """The first process fills the cache on disk; what is forked from it has all in memory."""
    code = ('import os, sys, types\n'
            'package = types.ModuleType("mmdense")\n'         # the package's imports take long
            'package.__path__ = [sys.argv[1] + "/mmdense"]\n'
            'sys.modules["mmdense"] = package\n'
            'import numpy as np\n'
            'from mmdense.regions.felzenszwalb import felzenszwalb\n'
            'from mmdense.regions.felzenszwalb_kernel import partition\n'
            'felzenszwalb(np.zeros((9, 9, 3), np.uint8))\n'
            'before = len(partition.signatures)\n'
            'if os.fork() == 0:\n'
            '    felzenszwalb(np.zeros((30, 9, 3), np.uint8))\n'
            '    os._exit(len(partition.signatures) - before)\n'
            'assert os.wait()[1] == 0\n'
            'print(sum(partition.stats.cache_hits.values()),'
            ' sum(partition.stats.cache_misses.values()))\n')
    found = []
    for _ in range(2):
        done = subprocess.run([sys.executable, '-c', code, repo], capture_output=True, text=True,
                              env={**os.environ, 'NUMBA_CACHE_DIR': str(tmp_path)})
        assert done.returncode == 0, done.stderr
        found.append(done.stdout.split())
    assert found == [['0', '1'], ['1', '0']]
