"""Outlines and textures of the generated world: what tells one class from another.

A class of object is an outline together with a texture. Colours are drawn from one distribution
for everything, objects, background and clutter alike, so that they tell nothing.
"""
from __future__ import annotations

from collections.abc import Callable

import numpy as np

SHAPES = ('disc', 'square', 'triangle', 'star', 'cross')
TEXTURES = ('striped', 'checked', 'dotted', 'zigzag')
#: every outline with every texture: the classes of the object-centric images
OBJECT_CLASSES = tuple(f'{texture} {shape}' for shape in SHAPES for texture in TEXTURES)
#: the objects of the scenes: every outline and every texture twice, so that neither is enough
SCENE_OBJECTS = ('striped disc', 'dotted disc', 'checked square', 'striped square',
                 'dotted star', 'checked star')
SCENE_CLASSES = ('background', *SCENE_OBJECTS)
SCENE_PALETTE = [[0, 0, 0], [230, 25, 75], [60, 180, 75], [255, 225, 25], [0, 130, 200],
                 [245, 130, 48], [145, 30, 180]]

_RADII: dict[str, tuple[float, ...]] = {
    'disc': (1.0,) * 40, 'square': (1.0,) * 4, 'triangle': (1.0,) * 3, 'star': (1.0, 0.45) * 5}
_CROSS = np.array([[1, 3], [1, 1], [3, 1], [3, -1], [1, -1], [1, -3],
                   [-1, -3], [-1, -1], [-3, -1], [-3, 1], [-1, 1], [-1, 3]], dtype=np.float64)


def outline(shape: str) -> np.ndarray:
    """Return the corners (N, 2) of a ``shape`` of area 1 round the origin, in order."""
    if shape == 'cross':
        corners = _CROSS
    else:
        radii = np.array(_RADII[shape])
        angles = np.arange(len(radii)) * (2 * np.pi / len(radii))
        corners = np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1)
    x, y = corners.T
    area = 0.5 * abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))
    return corners / np.sqrt(area)


def _striped(u: np.ndarray, v: np.ndarray, share: float) -> np.ndarray:
    return u % 1.0 < share


def _checked(u: np.ndarray, v: np.ndarray, share: float) -> np.ndarray:
    return (u % 1.0 < 0.5) ^ (v % 1.0 < 0.5)


def _dotted(u: np.ndarray, v: np.ndarray, share: float) -> np.ndarray:
    u = u + 0.5 * (np.floor(v) % 2)           # every other row is shifted by half a period
    return (u % 1.0 - 0.5) ** 2 + (v % 1.0 - 0.5) ** 2 < share / np.pi


def _zigzag(u: np.ndarray, v: np.ndarray, share: float) -> np.ndarray:
    return (u + np.abs(v % 2.0 - 1.0)) % 1.0 < share


_TEXTURES: dict[str, Callable[[np.ndarray, np.ndarray, float], np.ndarray]] = {
    'striped': _striped, 'checked': _checked, 'dotted': _dotted, 'zigzag': _zigzag}


def texture(name: str, u: np.ndarray, v: np.ndarray, share: float) -> np.ndarray:
    """Return where a texture shows its first colour.

    Args:
        name: one of :data:`TEXTURES`.
        u, v: coordinates (h, w) in periods of the texture.
        share: share of the first colour, about one half (a chequerboard is always one half).

    Returns:
        bool array (h, w).
    """
    return _TEXTURES[name](u, v, share)


def colour_pair(rng: np.random.RandomState) -> np.ndarray:
    """Draw a dark and a bright colour (2, 3) of little saturation; the same draw for everything.

    All images share the palette, so colour neither tells the class nor sets an image apart: what
    a contrast of images can use is what there is in them.
    """
    middle, half = rng.uniform(115, 140), rng.uniform(35, 50) * rng.choice([-1, 1])
    return (np.array([[middle - half], [middle + half]])
            + rng.uniform(-10, 10, size=(2, 3))).astype(np.float32)
