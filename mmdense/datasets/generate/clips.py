"""Short generated clips in which it is known what moves by itself."""
from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np

from mmdense.files import write_whole

from .drawing import smooth_noise
from .patterns import SHAPES, colour_pair, outline

#: pixels per frame by which an object moves against the background
SPEEDS = (2.0, 5.0)


def rich_texture(rng: np.random.RandomState, side: int) -> np.ndarray:
    """Return a texture (side, side, 3) float32 with spots of several sizes, which flow can follow.
    """
    noise = sum(smooth_noise(rng, side, grain) for grain in (3, 8, 24))
    share = 1 / (1 + np.exp(-2 * noise[..., None]))
    first, second = colour_pair(rng)
    return (first + (second - first) * share).astype(np.float32)


def render_clip(rng: np.random.RandomState, frames: int = 6, size: int = 128, objects: int = 2
                ) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return frames (size, size, 3) uint8 BGR, and of each which pixels (size, size) bool move.

    The camera moves and zooms evenly over a still background; objects move straight on, at
    ``SPEEDS`` against it.

    Args:
        rng: of everything.
        frames: how many.
        size: side in pixels.
        objects: at most so many, at least one.
    """
    background = rich_texture(rng, 2 * size)
    camera, zoom = rng.uniform(-2, 2, 2), rng.uniform(-0.004, 0.004)
    layers = []
    for _ in range(rng.randint(1, objects + 1)):
        corners = outline(SHAPES[rng.randint(len(SHAPES))]) * size * rng.uniform(0.2, 0.35)
        angle, direction = rng.uniform(0, 2 * np.pi, 2)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        alpha = np.zeros((size, size), np.float32)
        cv2.fillPoly(alpha, [np.rint(corners @ turn.T + size / 2).astype(np.int32)], 1.0)
        speed = rng.uniform(*SPEEDS) * np.array([np.cos(direction), np.sin(direction)])
        place = rng.uniform(-0.25, 0.25, 2) * size - speed * frames / 2
        layers.append((rich_texture(rng, size), alpha, place, camera + speed))
    images, masks = [], []
    for time in range(frames):
        scale, middle = 1 + zoom * time, np.array([size, size], float)
        shift = size / 2 - scale * middle + camera * time
        image = cv2.warpAffine(background, np.array([[scale, 0, shift[0]], [0, scale, shift[1]]]),
                               (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        mask = np.zeros((size, size), bool)
        for colours, alpha, place, speed in layers:
            x, y = place + speed * time
            move = np.array([[1, 0, x], [0, 1, y]])
            share, paint = (cv2.warpAffine(part, move, (size, size)) for part in (alpha, colours))
            image = image + (paint - image) * share[..., None]
            mask |= share > 0.5
        images.append(np.rint(image).clip(0, 255).astype(np.uint8))
        masks.append(mask)
    return images, masks


def write_clips(folder: str | os.PathLike, count: int, seed: int = 0, **options: int) -> None:
    """Write ``count`` clips as ``frames/clip_000/frame_000.png``, and what moves in ``moving``.

    Masks are 255 where something moves.

    Args:
        options: of :func:`render_clip`.
    """
    for number in range(count):
        images, masks = render_clip(np.random.RandomState([seed, number]), **options)
        for time, (image, mask) in enumerate(zip(images, masks, strict=True)):
            for part, pixels in (('frames', image), ('moving', mask.astype(np.uint8) * 255)):
                path = Path(folder, part, f'clip_{number:03d}', f'frame_{time:03d}.png')
                write_whole(cv2.imencode('.png', pixels)[1].tobytes(), path)
