"""The generated images: the same for a seed, learnable, and not by colour."""
from __future__ import annotations

import hashlib

import cv2
import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier

from mmdense.datasets.generate import OBJECT_CLASSES, SCENE_CLASSES, make_object, make_scene
from mmdense.datasets.generate.patterns import SCENE_OBJECTS, SHAPES, TEXTURES, outline, texture

CLASSES = len(SCENE_CLASSES)


@pytest.fixture(scope='module')
def scenes():
    """20 labelled and 20 val scenes: {split: (images, labels)}."""
    return {split: tuple(np.stack(part) for part in
                         zip(*(make_scene(0, split, index) for index in range(20)), strict=True))
            for split in ('labelled', 'val')}


def miou(predicted: np.ndarray, labels: np.ndarray) -> float:
    kept = labels != 255
    pairs = labels[kept].astype(int) * CLASSES + predicted[kept]
    table = np.bincount(pairs, minlength=CLASSES ** 2).reshape(CLASSES, CLASSES)
    return float(np.mean(np.diag(table) / (table.sum(0) + table.sum(1) - np.diag(table))))


def forest_miou(features, scenes, balanced: bool) -> float:
    """Learn each pixel's class from ``features(image) -> (H, W, D)``; return mIoU on val."""
    (images, labels), (others, truth) = scenes['labelled'], scenes['val']
    x = np.stack([features(image)[::4, ::4] for image in images]).reshape(-1, features.size)
    y = labels[:, ::4, ::4].ravel()
    forest = RandomForestClassifier(25, min_samples_leaf=5, random_state=0, max_samples=0.3,
                                    class_weight='balanced' if balanced else None)
    forest.fit(x[y != 255], y[y != 255])
    seen = np.stack([features(image)[::4, ::4] for image in others]).reshape(-1, features.size)
    return miou(forest.predict(seen), truth[:, ::4, ::4].ravel())


def colour(image: np.ndarray) -> np.ndarray:
    return image


def colour_histogram(image: np.ndarray) -> np.ndarray:
    """The shares of 27 colours in the 13x13 pixels round each pixel."""
    bins = (image // 86).astype(int) @ [9, 3, 1]
    return np.stack([cv2.blur((bins == b).astype(np.float32), (13, 13)) for b in range(27)], -1)


def waves(image: np.ndarray) -> np.ndarray:
    """Energy of the brightness in five wavelengths and eight directions, strongest first."""
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(np.float32)
    spread = cv2.blur((grey - cv2.blur(grey, (17, 17))) ** 2, (17, 17)) + 30
    found = []
    for length in (4, 6, 8, 11, 15):
        energies = []
        for step in range(8):
            pair = [cv2.filter2D(grey, cv2.CV_32F, _zero_mean(cv2.getGaborKernel(
                (19, 19), 0.45 * length, np.pi * step / 8, length, 1, phase))) for phase in
                (0, np.pi / 2)]
            energies.append(cv2.blur(pair[0] ** 2 + pair[1] ** 2, (9, 9)) / spread)
        found += list(np.sort(np.stack(energies), axis=0)[::-1])
    return np.stack(found, axis=-1)


def _zero_mean(kernel: np.ndarray) -> np.ndarray:
    return kernel / np.abs(kernel).sum() - kernel.mean() / np.abs(kernel).sum()


colour.size, colour_histogram.size, waves.size = 3, 27, 40


def test_position_and_colour_tell_little_texture_tells(scenes):
    labels, truth = scenes['labelled'][1], scenes['val'][1]
    counts = np.stack([(labels == c).sum(axis=0) for c in range(CLASSES)])
    majority = miou(np.broadcast_to(counts.argmax(axis=0), truth.shape), truth)
    assert majority < 0.15
    for balanced in (False, True):
        assert forest_miou(colour, scenes, balanced) < 0.15
        # two colours in a window rather than one: an object, but not which
        assert forest_miou(colour_histogram, scenes, balanced) < 0.2
    # from 20 scenes, each pixel by itself, and without any outline
    assert forest_miou(waves, scenes, balanced=False) > 0.27


def test_same_arrays_for_the_same_place():
    for make in (lambda seed, index: make_scene(seed, 'val', index), make_object):
        assert all(np.array_equal(a, b) for a, b in zip(make(3, 5), make(3, 5), strict=True))
        assert not np.array_equal(make(3, 5)[0], make(3, 6)[0])
        assert not np.array_equal(make(3, 5)[0], make(4, 5)[0])
    images = [make_scene(0, split, 0)[0] for split in ('unlabelled', 'labelled', 'val')]
    assert not np.array_equal(images[0], images[1]) and not np.array_equal(images[1], images[2])


def test_global_streams_are_not_touched():
    np.random.seed(1)
    wanted = np.random.rand()
    np.random.seed(1)
    make_scene(0, 'val', 0), make_object(0, 0)
    assert np.random.rand() == wanted


def test_scenes_hold_every_class_and_borders(scenes):
    image, label = scenes['labelled'][0][0], scenes['labelled'][1][0]
    assert image.shape == (128, 128, 3) and image.dtype == label.dtype == np.uint8
    for labels in (scenes['labelled'][1], scenes['val'][1]):
        shares = np.bincount(labels.ravel(), minlength=256) / labels.size
        assert set(np.flatnonzero(shares)) == {*range(CLASSES), 255}
        assert 0.4 < shares[0] < 0.75 and shares[1:CLASSES].min() > 0.015
    # a border lies between any two kinds of pixel that touch
    labels = scenes['labelled'][1].astype(int)
    for a, b in ((labels[:, 1:], labels[:, :-1]), (labels[:, :, 1:], labels[:, :, :-1])):
        assert not np.any((a != b) & (a != 255) & (b != 255))


def test_objects_cover_the_classes_and_the_middle():
    labels = [make_object(0, index)[1] for index in range(120)]
    assert set(labels) == set(range(20)) and len(OBJECT_CLASSES) == 20
    assert set(SCENE_OBJECTS) <= set(OBJECT_CLASSES)


@pytest.mark.parametrize('position', [0, 1])
def test_neither_outline_nor_texture_alone_tells(position):
    words = [name.split()[position] for name in SCENE_OBJECTS]
    assert all(words.count(word) == 2 for word in words)


@pytest.mark.parametrize('shape', SHAPES)
def test_outlines_have_area_one(shape):
    canvas = np.zeros((400, 400), np.uint8)
    cv2.fillPoly(canvas, [np.round(outline(shape) * 200 + 200).astype(np.int32)], 1)
    assert canvas.sum() / 200 ** 2 == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize('name', TEXTURES)
def test_textures_show_the_share_and_repeat(name):
    v, u = np.mgrid[:200, :200] / 20.0 + 0.01
    shown = texture(name, u, v, 0.45)
    assert shown.mean() == pytest.approx(0.5 if name == 'checked' else 0.45, abs=0.03)
    # rounding may move a few points that lie on an edge
    assert np.mean(shown != texture(name, u + 2, v + 2, 0.45)) < 0.01


def test_labels_of_one_scene_have_not_changed():
    """A change of the generator changes every number measured on it: do it knowingly."""
    label = make_scene(0, 'labelled', 0)[1]
    assert hashlib.sha256(label.tobytes()).hexdigest()[:12] == 'e42b0bbaeebd'
