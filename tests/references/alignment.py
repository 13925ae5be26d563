"""Alignment of cells as loops in float64, written from the papers' formulas."""
from __future__ import annotations

import math


def centred(rows: list[list[float]]) -> list[list[float]]:
    means = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
    return [[value - mean for value, mean in zip(row, means, strict=True)] for row in rows]


def dot(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def hsic(x: list[list[float]], y: list[list[float]]) -> float:
    """Sum over pairs of rows of the product of both kernels, of centred rows."""
    return sum(dot(x[i], x[j]) * dot(y[i], y[j]) for i in range(len(x)) for j in range(len(x)))


def cka(x: list[list[float]], y: list[list[float]]) -> float:
    x, y = centred(x), centred(y)
    below = math.sqrt(hsic(x, x) * hsic(y, y))
    return hsic(x, y) / below if below > 1e-20 else 0.0


def cells(maps) -> list[list[list[float]]]:
    """Return, for each image of (B, C, h, w), its cells as lists of numbers."""
    return [[[float(image[c, i, j]) for c in range(image.shape[0])]
             for i in range(image.shape[1]) for j in range(image.shape[2])] for image in maps]


def kernel_alignment(x, y) -> float:
    pairs = [cka(a, b) for a, b in zip(cells(x), cells(y), strict=True)]
    return 1 - sum(pairs) / len(pairs)


def cosine(a: list[float], b: list[float]) -> float:
    return dot(a, b) / math.sqrt(dot(a, a) * dot(b, b))


def gram(x, y) -> float:
    found = [(cosine(a[i], a[j]) - cosine(b[i], b[j])) ** 2
             for a, b in zip(cells(x), cells(y), strict=True)
             for i in range(len(a)) for j in range(len(a))]
    return sum(found) / len(found)


def cell_cosine(x, y) -> float:
    found = [cosine(p, q) for a, b in zip(cells(x), cells(y), strict=True)
             for p, q in zip(a, b, strict=True)]
    return 1 - sum(found) / len(found)
