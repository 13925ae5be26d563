"""Draw the generated world: a canvas, its background, clutter and objects.

Everything is drawn at twice the size and averaged, which makes edges smooth; labels come from the
owner of each pixel, not from the colours.
"""
from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .patterns import colour_pair, outline, texture

OVERSAMPLE = 2
IGNORE = 255


@dataclass
class Canvas:
    """What has been drawn so far, at OVERSAMPLE times the image's size.

    ``colour`` is float32 (h, w, 3) BGR, ``owner`` uint8 (h, w): 0 for background and clutter,
    otherwise the number of the object in the order of drawing.
    """

    colour: np.ndarray
    owner: np.ndarray


def smooth_noise(rng: np.random.RandomState, side: int, grain: float) -> np.ndarray:
    """Return noise (side, side), float32, whose spots are about ``grain`` pixels wide."""
    cells = max(2, round(side / grain) + 1)
    noise = rng.standard_normal((cells, cells)).astype(np.float32)
    return cv2.resize(noise, (side, side), interpolation=cv2.INTER_CUBIC)


def blotches(rng: np.random.RandomState, side: int) -> np.ndarray:
    """Return the background's texture (side, side, 3): two colours in large soft spots.

    Spots as fine and sharp as the objects' textures would set images apart better than the
    objects do, and that is what a contrast of images would then learn.
    """
    first, second = colour_pair(rng)
    noise = smooth_noise(rng, side, rng.uniform(14, 40) * OVERSAMPLE)
    share = 1.0 / (1.0 + np.exp(-rng.uniform(1, 3) * (noise - rng.uniform(-0.2, 0.2))))
    return first + (second - first) * share[..., None]


def new_canvas(rng: np.random.RandomState, size: int) -> Canvas:
    """Return a canvas for a ``size`` x ``size`` image with one to three kinds of background."""
    side = size * OVERSAMPLE
    colour = blotches(rng, side)
    for _ in range(rng.randint(0, 3)):
        part = smooth_noise(rng, side, side / rng.uniform(1.5, 3.5)) > 0.3
        colour[part] = blotches(rng, side)[part]
    return Canvas(colour, np.zeros((side, side), np.uint8))


def add_clutter(canvas: Canvas, rng: np.random.RandomState, count: int) -> None:
    """Draw ``count`` thin lines and small spots behind the objects that come later."""
    side = len(canvas.owner)
    for _ in range(count):
        colour = colour_pair(rng)[0].tolist()
        x, y = rng.randint(0, side, 2).tolist()
        if rng.rand() < 0.6:
            angle, length = rng.uniform(0, np.pi), rng.uniform(10, 50) * OVERSAMPLE
            end = (int(x + length * np.cos(angle)), int(y + length * np.sin(angle)))
            cv2.line(canvas.colour, (x, y), end, colour, rng.randint(1, 3) * OVERSAMPLE)
        else:
            axes = (rng.randint(1, 4, 2) * OVERSAMPLE).tolist()
            cv2.ellipse(canvas.colour, (x, y), axes, rng.uniform(0, 180), 0, 360, colour, -1)


def add_bar(canvas: Canvas, rng: np.random.RandomState) -> None:
    """Draw one long bar of background in front of everything; it hides parts of objects."""
    side = len(canvas.owner)
    middle, angle = rng.uniform(0.1, 0.9, 2) * side, rng.uniform(0, np.pi)
    along = np.array([np.cos(angle), np.sin(angle)]) * side * 1.5
    mask = np.zeros_like(canvas.owner)
    cv2.line(mask, tuple((middle - along).astype(int).tolist()),
             tuple((middle + along).astype(int).tolist()), 1, rng.randint(3, 7) * OVERSAMPLE)
    where = mask > 0
    canvas.colour[where] = blotches(rng, side)[where]
    canvas.owner[where] = 0


def _frame(rng: np.random.RandomState) -> np.ndarray:
    """Return a pose (2, 2): a rotation after a squeeze to 0.7..1 in some direction, area 1."""
    turn, skew = rng.uniform(0, 2 * np.pi, 2)
    squeeze = np.sqrt(rng.uniform(0.7, 1.0))
    return _rotation(turn) @ np.diag([squeeze, 1 / squeeze]) @ _rotation(skew)


def _rotation(angle: float) -> np.ndarray:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def object_mask(shape: str, pose: np.ndarray, scale: float, centre: np.ndarray,
                side: int) -> np.ndarray:
    """Return the object's pixels, bool (side, side), of area ``scale`` squared if all inside."""
    corners = outline(shape) @ pose.T * scale + centre
    mask = np.zeros((side, side), np.uint8)
    cv2.fillPoly(mask, [np.round(corners).astype(np.int32)], 1)
    return mask.astype(bool)


def draw_object(canvas: Canvas, rng: np.random.RandomState, name: str, number: int,
                scale: float, centre: np.ndarray, most_hidden: float = 0.6) -> bool:
    """Draw an object unless it leaves the picture or hides another too much.

    Args:
        canvas: changed in place.
        rng: source of pose, colours, period and light.
        name: texture and outline, such as ``'striped disc'``.
        number: owner written into the canvas, 1..254.
        scale: square root of the object's area, in pixels of the image.
        centre: (x, y) in pixels of the image.
        most_hidden: largest share of an earlier object that may be covered, this one included.

    Returns:
        whether it was drawn; the random stream is at the same place either way.
    """
    texture_name, shape = name.split()
    side, centre = len(canvas.owner), centre * OVERSAMPLE
    pose, angle, light_angle = _frame(rng), rng.uniform(0, np.pi), rng.uniform(0, 2 * np.pi)
    phase, share = rng.uniform(0, 2, 2), rng.uniform(0.42, 0.58)
    period = np.clip(scale * rng.uniform(0.22, 0.36), 5, 14) * OVERSAMPLE
    shade, (first, second) = rng.uniform(0, 0.35), colour_pair(rng)
    mask = object_mask(shape, pose, scale * OVERSAMPLE, centre, side)
    if mask.sum() < 0.6 * (scale * OVERSAMPLE) ** 2 or _hides(canvas.owner, mask, most_hidden):
        return False

    ys, xs = np.nonzero(mask)
    offset = np.stack([xs, ys], axis=1) - centre
    u, v = (offset @ _rotation(angle) / period + phase).T
    colour = np.where(texture(texture_name, u, v, share)[:, None], first, second)
    towards = offset @ np.array([np.cos(light_angle), np.sin(light_angle)])
    light = 1 + shade * np.clip(towards / (scale * OVERSAMPLE / 2), -1, 1)
    canvas.colour[ys, xs] = colour * light[:, None]
    canvas.owner[mask] = number
    return True


def _hides(owner: np.ndarray, mask: np.ndarray, most_hidden: float) -> bool:
    before = np.bincount(owner.ravel(), minlength=256)
    covered = np.bincount(owner[mask], minlength=256)
    return bool(np.any(covered[1:] > most_hidden * before[1:]))


def finish(canvas: Canvas, rng: np.random.RandomState) -> np.ndarray:
    """Return the image, uint8 (size, size, 3) BGR: light from one side, some noise."""
    size = len(canvas.owner) // OVERSAMPLE
    image = canvas.colour.reshape(size, OVERSAMPLE, size, OVERSAMPLE, 3).mean(axis=(1, 3))
    steps = np.linspace(-1, 1, size, dtype=np.float32)
    angle, strength = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.35)
    slope = steps[None] * np.cos(angle) + steps[:, None] * np.sin(angle)
    image = image * (rng.uniform(0.75, 1.1) * (1 + strength * slope))[..., None]
    image = image + rng.standard_normal(image.shape) * rng.uniform(1, 5)
    return np.clip(np.round(image), 0, 255).astype(np.uint8)


def labels(canvas: Canvas, classes: np.ndarray) -> np.ndarray:
    """Return the class of each pixel, uint8 (size, size), 255 on the borders of objects.

    Args:
        canvas: the finished canvas.
        classes: class of each owner, uint8 (number of objects + 1,); ``classes[0]`` is 0.
    """
    owner = np.ascontiguousarray(canvas.owner[::OVERSAMPLE, ::OVERSAMPLE])
    square = np.ones((3, 3), np.uint8)
    border = cv2.dilate(owner, square) != cv2.erode(owner, square)
    return np.where(border, IGNORE, classes[owner]).astype(np.uint8)
