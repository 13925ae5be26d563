"""Patch-level rotation as slow float64 loops over pixels and patches, from its definition."""
from __future__ import annotations

import math

import torch


def turned_image(image, turns):
    """Return an image (H, W, C) whose equal patches are turned, pixel by pixel.

    A quarter counter-clockwise takes the pixel at row i, column j of a patch of side s from row j,
    column s - 1 - i.
    """
    side, out = len(image) // len(turns), image.copy()
    for row in range(image.shape[0]):
        for column in range(image.shape[1]):
            patch, i, j = (row // side, column // side), row % side, column % side
            for _ in range(turns[patch]):
                i, j = j, side - 1 - i
            out[row, column] = image[patch[0] * side + i, patch[1] * side + j]
    return out


def cross_entropy(logits, label):
    """Minus the logarithm of the softmax of logits (K,) at a label."""
    values = [float(value) for value in logits.double()]
    return math.log(sum(math.exp(value - max(values)) for value in values)) + max(values) \
        - values[label]


def resized(logits, height, width):
    """Return logits (K, h, w) at the centres of height x width pixels, bilinear, clamped."""
    _, h, w = logits.shape
    out = torch.empty(len(logits), height, width, dtype=torch.float64)
    for row in range(height):
        y = min(max((row + 0.5) * h / height - 0.5, 0), h - 1)
        top = min(int(y), max(h - 2, 0))
        for column in range(width):
            x = min(max((column + 0.5) * w / width - 0.5, 0), w - 1)
            left = min(int(x), max(w - 2, 0))
            total = 0
            for i in {top, min(top + 1, h - 1)}:
                for j in {left, min(left + 1, w - 1)}:
                    total = total + (1 - abs(y - i)) * (1 - abs(x - j)) * logits[:, i, j].double()
            out[:, row, column] = total
    return out


def pixel_loss(logits, turns, mask):
    """Return the mean cross-entropy of the pixels of a patch; 0 without any.

    logits: (B, 4, h, w). turns: (B, rows, columns). mask: (B, H, W), patch numbers from 1.
    """
    losses = []
    for b in range(len(logits)):
        large = resized(logits[b], *mask.shape[1:])
        for row, numbers in enumerate(mask[b].tolist()):
            for column, number in enumerate(numbers):
                if number:
                    losses.append(cross_entropy(large[:, row, column],
                                                int(turns[b].flatten()[number - 1])))
    return sum(losses) / max(len(losses), 1)


def patch_losses(logits, turns, mask):
    """Return of each patch that owns a cell: its loss, its angle, and the angle that is said."""
    found = []
    _, _, h, w = logits.shape
    _, height, width = mask.shape
    for b in range(len(logits)):
        owned = {}
        for i in range(h):
            for j in range(w):
                pixels = [int(mask[b, y, x]) for y in range(height) for x in range(width)
                          if int((y + 0.5) * h / height) == i and int((x + 0.5) * w / width) == j]
                owner = max(sorted(set(pixels)), key=pixels.count)
                owned.setdefault(owner, []).append(logits[b, :, i, j].double())
        for number, angle in enumerate(turns[b].flatten().tolist(), 1):
            if number in owned:
                mean = sum(owned[number]) / len(owned[number])
                found.append((cross_entropy(mean, angle), angle, int(mean.argmax())))
    return found
