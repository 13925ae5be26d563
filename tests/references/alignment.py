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


def cells(maps, valid=None) -> list[list[list[float]]]:
    """Return, for each image of (B, C, h, w), its cells that count as lists of numbers."""
    height, width = maps.shape[2:]
    return [[[float(image[c, i, j]) for c in range(image.shape[0])]
             for i in range(height) for j in range(width)
             if valid is None or valid[number, i * width + j]]
            for number, image in enumerate(maps)]


def mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def kernel_alignment(x, y, valid=None) -> float:
    least = 0 if valid is None else 2
    return mean([1 - cka(a, b) for a, b in zip(cells(x, valid), cells(y, valid), strict=True)
                 if len(a) >= least])


def cosine(a: list[float], b: list[float]) -> float:
    below = math.sqrt(dot(a, a) * dot(b, b))
    return dot(a, b) / below if below else 0.0


def gram(x, y, valid=None) -> float:
    return mean([mean([(cosine(a[i], a[j]) - cosine(b[i], b[j])) ** 2
                       for i in range(len(a)) for j in range(len(a))])
                 for a, b in zip(cells(x, valid), cells(y, valid), strict=True) if a])


def cell_cosine(x, y, valid=None) -> float:
    return mean([1 - cosine(p, q)
                 for a, b in zip(cells(x, valid), cells(y, valid), strict=True)
                 for p, q in zip(a, b, strict=True)])


def standardised_cosine(x, y, valid=None) -> float:
    """The cosine of cells to those of ``y`` whose channels have mean 0 and variance 1."""
    rows = [row for image in cells(y, valid) for row in image]
    if not rows:
        return 0.0
    means = [mean(column) for column in zip(*rows, strict=True)]
    widths = [math.sqrt(mean([(value - middle) ** 2 for value in column]) + 1e-6)
              for column, middle in zip(zip(*rows, strict=True), means, strict=True)]
    rows = [[(value - middle) / width for value, middle, width
             in zip(row, means, widths, strict=True)] for row in rows]
    own = [row for image in cells(x, valid) for row in image]
    return mean([1 - cosine(p, q) for p, q in zip(own, rows, strict=True)])
