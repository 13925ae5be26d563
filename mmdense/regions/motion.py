"""What moves by itself between two frames of a video: dense flow without the camera's motion.

After Pathak et al., *Learning Features by Watching Objects Move*, 1612.06370, whose masks come from
another program (uNLC); here they are what OpenCV's flow leaves after a robust global motion.
"""
from __future__ import annotations

import os
import re
from functools import lru_cache

import cv2
import numpy as np

from mmdense.images.reading import IMAGE_SUFFIXES, read_image
from mmdense.mistakes import WrongValue

#: ids of a motion mask, which is a region map
UNKNOWN, STILL, MOVING = 0, 1, 2
#: pixels between two points that the global motion is fitted to
SPACING = 8


def order_frames(names: list[str], folder: str) -> list[str]:
    """Return the names of a clip's frames in the order of the last number in each.

    Raises:
        ValueError: a name without a number, or two with the same; or fewer than two frames.
    """
    numbers = {}
    for name in names:
        found = re.findall(r'\d+', os.path.splitext(name)[0])
        if not found:
            raise WrongValue(f'{os.path.join(folder, name)}: no number in its name, so the order '
                             'of the frames is not known; expected names such as frame_0012.png')
        if (number := int(found[-1])) in numbers:
            raise WrongValue(f'{folder}: {numbers[number]} and {name} both have the number '
                             f'{number}, so their order is not known; expected a folder per clip')
        numbers[number] = name
    if len(numbers) < 2:
        raise WrongValue(f'{folder} has {len(numbers)} frame(s); motion needs at least 2 in a '
                         'folder')
    return [numbers[number] for number in sorted(numbers)]


@lru_cache(maxsize=64)
def frames_of(folder: str) -> tuple[str, ...]:
    """Return :func:`order_frames` of the image files that lie in a folder."""
    return tuple(order_frames([name for name in sorted(os.listdir(folder))
                               if name.lower().endswith(IMAGE_SUFFIXES)], folder))


def other_frame(path: str, step: int) -> str:
    """Return the frame ``step`` after a frame in its clip; of the last ones, as far before.

    Raises:
        ValueError: as of :func:`order_frames`, or the clip is not longer than ``step``.
    """
    folder, name = os.path.split(path)
    names = frames_of(folder)
    at = names.index(name)
    there = at + step if at + step < len(names) else at - step
    if there < 0:
        raise WrongValue(f'{folder} has {len(names)} frames, and frames are compared {step} apart; '
                         'expected a longer clip or a smaller step')
    return os.path.join(folder, names[there])


def dense_flow(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the flow (H, W, 2) in pixels (x, y) between two grey images (H, W) uint8 (DIS)."""
    return cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(first, second, None)


def global_flow(flow: np.ndarray, known: np.ndarray, tolerance: float) -> np.ndarray | None:
    """Return the flow (H, W, 2) of the homography that most of a flow agrees with, or None.

    Args:
        flow: (H, W, 2).
        known: (H, W) bool, where it can be trusted.
        tolerance: pixels that an agreeing point may differ by.
    """
    height, width = known.shape
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(np.float32)
    points = np.s_[SPACING // 2::SPACING, SPACING // 2::SPACING]
    chosen = known[points]
    if chosen.sum() < 8:
        return None
    start = grid[points][chosen]
    matrix, _ = cv2.findHomography(start, start + flow[points][chosen], cv2.RANSAC, tolerance)
    if matrix is None:
        return None
    moved = cv2.perspectiveTransform(grid.reshape(1, -1, 2), matrix).reshape(height, width, 2)
    return moved - grid


def motion_mask(first: np.ndarray, second: np.ndarray, least: float = 1.0, ratio: float = 4.0,
                tolerance: float = 1.0, smooth: int = 5) -> np.ndarray:
    """Return the motion mask (H, W) int32 of a frame: 2 moving, 1 still, 0 not known.

    A pixel moves if its flow differs from the global motion by more than ``least`` pixels and by
    more than ``ratio`` times the median difference. Not known is what the flow there and back
    disagrees about, and all of a frame without a global motion.

    Args:
        first: (H, W, 3) uint8, the frame.
        second: another frame of that size.
        least, ratio: as above.
        tolerance: pixels that flows may disagree by, and points from the global motion.
        smooth: side in pixels of what is opened and closed; 1 = nothing.

    Raises:
        ValueError: frames of different sizes.
    """
    if first.shape[:2] != second.shape[:2]:
        raise WrongValue(f'frames of {first.shape[:2]} and {second.shape[:2]} pixels; expected a '
                         'clip of one size')
    one, other = (image[..., 0] if image.shape[2] == 1 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
                  for image in (first, second))
    one, other = map(np.ascontiguousarray, (one, other))
    flow, back = dense_flow(one, other), dense_flow(other, one)
    height, width = one.shape
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(np.float32)
    there = grid + flow
    returned = cv2.remap(back, there[..., 0], there[..., 1], cv2.INTER_LINEAR,
                         borderMode=cv2.BORDER_REPLICATE)
    inside = ((there >= 0) & (there <= (width - 1, height - 1))).all(-1)
    known = inside & (np.linalg.norm(flow + returned, axis=2) <= tolerance + 0.1 * np.linalg.norm(
        flow, axis=2))
    camera = global_flow(flow, known, tolerance)
    if camera is None:
        return np.zeros((height, width), np.int32)
    rest = np.linalg.norm(flow - camera, axis=2)
    moving = (rest > max(least, ratio * float(np.median(rest[known])))).astype(np.uint8)
    if smooth > 1:
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (smooth, smooth))
        moving = cv2.morphologyEx(cv2.morphologyEx(moving, cv2.MORPH_OPEN, kernel),
                                  cv2.MORPH_CLOSE, kernel)
    return np.where(known, np.where(moving > 0, MOVING, STILL), UNKNOWN).astype(np.int32)


def mask_of_frame(path: str, step: int = 1, **options: float) -> np.ndarray:
    """Return :func:`motion_mask` of a frame's file, with the one ``step`` frames away.

    Raises:
        ValueError: as of :func:`other_frame` and :func:`motion_mask`.
    """
    return motion_mask(*(read_image(name) for name in (path, other_frame(path, step))), **options)
