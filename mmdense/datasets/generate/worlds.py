"""The two generated sets, image by image: scenes with labels, and images of one object.

An image is a function of (seed, split, index) alone, so that a longer set begins with the shorter
one. ``RandomState`` on a seeded ``MT19937`` is the stream that numpy promises never to change.
"""
from __future__ import annotations

import numpy as np

from .drawing import add_bar, add_clutter, draw_object, finish, labels, new_canvas
from .patterns import OBJECT_CLASSES, SCENE_CLASSES, SCENE_OBJECTS

SIZE = 128
#: number of scenes of each split; the order gives the split's part in the seed
SCENE_COUNTS = {'unlabelled': 600, 'labelled': 60, 'val': 150}
_SPLITS = (*SCENE_COUNTS, 'objects')


def stream(seed: int, split: str, index: int) -> np.random.RandomState:
    """Return the random stream of one image."""
    entropy = np.random.SeedSequence([seed, _SPLITS.index(split), index])
    return np.random.RandomState(np.random.MT19937(entropy))


def make_scene(seed: int, split: str, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a scene of four to seven objects of one kind that may hide each other.

    Like a place in the world, a scene has its own kind of things: what is in it sets it apart
    from other scenes, where colour and position do not.

    Args:
        seed: of the whole set.
        split: a key of :data:`SCENE_COUNTS`.
        index: of the image in its split.

    Returns:
        image, uint8 (128, 128, 3) BGR, and label, uint8 (128, 128): positions in
        ``SCENE_CLASSES``, 255 on the borders of objects.
    """
    rng = stream(seed, split, index)
    canvas = new_canvas(rng, SIZE)
    add_clutter(canvas, rng, rng.randint(4, 10))
    name = SCENE_OBJECTS[index % len(SCENE_OBJECTS)]      # as many of each in any set
    classes, wanted = [0], rng.randint(4, 8)
    for _ in range(60):
        scale, centre = rng.uniform(32, 52), rng.uniform(0.05, 0.95, 2) * SIZE
        if draw_object(canvas, rng, name, len(classes), scale, centre):
            classes.append(SCENE_CLASSES.index(name))
        if len(classes) > wanted:
            break
    for _ in range(rng.randint(0, 3)):
        add_bar(canvas, rng)
    return finish(canvas, rng), labels(canvas, np.array(classes, np.uint8))


def make_object(seed: int, index: int) -> tuple[np.ndarray, int]:
    """Return an image of one large object near the middle.

    Args:
        seed: of the whole set.
        index: of the image.

    Returns:
        image, uint8 (128, 128, 3) BGR, and the object's class, a position in ``OBJECT_CLASSES``.
    """
    rng = stream(seed, 'objects', index)
    canvas = new_canvas(rng, SIZE)
    add_clutter(canvas, rng, rng.randint(4, 11))
    label = rng.randint(len(OBJECT_CLASSES))
    scale, centre = rng.uniform(40, 68), SIZE / 2 + rng.uniform(-14, 14, 2)
    draw_object(canvas, rng, OBJECT_CLASSES[label], 1, scale, centre)
    return finish(canvas, rng), label
