"""Distillation of cells as loops in float64: a bilinear map read at another view's cells."""
from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def bilinear(image: Tensor, x: float, y: float) -> list[float]:
    """Return the channels of (C, h, w) at x, y, both in cells whose centres are whole numbers."""
    height, width = image.shape[1:]
    x, y = min(max(x, 0), width - 1), min(max(y, 0), height - 1)
    left, upper = min(int(x), max(width - 2, 0)), min(int(y), max(height - 2, 0))
    right, lower = min(left + 1, width - 1), min(upper + 1, height - 1)
    a, b = x - left, y - upper
    return [float((1 - b) * ((1 - a) * one[upper, left] + a * one[upper, right])
                  + b * ((1 - a) * one[lower, left] + a * one[lower, right])) for one in image]


def read(maps: Tensor, asks: list, flipped: list[bool], box: list, mirrored: list[bool],
         size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return maps (B, C, h, w) of the cells of views, and which are inside (B, h w)."""
    height, width = size
    found = torch.zeros(len(maps), maps.shape[1], height, width, dtype=torch.double)
    inside = torch.zeros(len(maps), height * width, dtype=torch.bool)
    for n, image in enumerate(maps):
        for i in range(height):
            for j in range(width):
                across = (j + 0.5) / width
                across = 1 - across if flipped[n] else across
                x = asks[n][0] + (asks[n][2] - asks[n][0]) * across
                y = asks[n][1] + (asks[n][3] - asks[n][1]) * (i + 0.5) / height
                inside[n, i * width + j] = box[n][0] <= x < box[n][2] and box[n][1] <= y < box[n][3]
                u = (x - box[n][0]) / (box[n][2] - box[n][0])
                v = (y - box[n][1]) / (box[n][3] - box[n][1])
                u = 1 - u if mirrored[n] else u
                found[n, :, i, j] = torch.tensor(bilinear(
                    image.double(), u * maps.shape[3] - 0.5, v * maps.shape[2] - 0.5))
    return found, inside


def distilled(loss: Callable, student: Tensor, teacher: Tensor, asks: list, flipped: list[bool],
              box: list, mirrored: list[bool]) -> float:
    """Return a loop of tests/references/alignment.py of the student's map and what is read."""
    there, inside = read(teacher, asks, flipped, box, mirrored, tuple(student.shape[2:]))
    return loss(student.double(), there, inside)
