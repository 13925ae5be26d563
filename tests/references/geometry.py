"""Cells of two views, pair by pair in float64, from their definitions in source pixels."""
from __future__ import annotations

import math


def centre(box, flip, size, row, column, anchor=0.5):
    """The point (x, y) that stands for a cell."""
    (x0, y0, x1, y1), (h, w) = box, size
    across = (column + anchor) / w
    return x0 + (x1 - x0) * (1 - across if flip else across), y0 + (y1 - y0) * (row + anchor) / h


def area(box, flip, size, row, column):
    """The rectangle (x0, y0, x1, y1) of a cell."""
    (x0, y0, x1, y1), (h, w) = box, size
    if flip:
        column = w - 1 - column
    width, height = (x1 - x0) / w, (y1 - y0) / h
    return (x0 + column * width, y0 + row * height,
            x0 + (column + 1) * width, y0 + (row + 1) * height)


def cells(size):
    return [(row, column) for row in range(size[0]) for column in range(size[1])]


def diagonal(box, size):
    return math.hypot((box[2] - box[0]) / size[1], (box[3] - box[1]) / size[0])


def distances(boxes, flips, sizes, anchor=0.5):
    """[n][m]: distance of the cells of one image's two views, over the larger diagonal."""
    larger = max(map(diagonal, boxes, sizes))
    return [[math.dist(centre(boxes[0], flips[0], sizes[0], *one, anchor),
                       centre(boxes[1], flips[1], sizes[1], *other, anchor)) / larger
             for other in cells(sizes[1])] for one in cells(sizes[0])]


def overlaps(boxes, flips, sizes):
    """[n][m]: the area that two cells share."""
    found = []
    for one in cells(sizes[0]):
        ax0, ay0, ax1, ay1 = area(boxes[0], flips[0], sizes[0], *one)
        found.append([])
        for other in cells(sizes[1]):
            bx0, by0, bx1, by1 = area(boxes[1], flips[1], sizes[1], *other)
            width, height = min(ax1, bx1) - max(ax0, bx0), min(ay1, by1) - max(ay0, by0)
            found[-1].append(max(width, 0) * max(height, 0))
    return found


def pixel_consistency(query, target, boxes, flips, threshold):
    """PixPro's loss of one direction; maps (N, C, h, w) float64 tensors."""
    total = 0
    for n in range(len(query)):
        sizes = tuple(query.shape[2:]), tuple(target.shape[2:])
        far = distances([b[n].tolist() for b in boxes], [f[n].item() for f in flips], sizes)
        cosines, count = 0, 0
        for i, one in enumerate(cells(sizes[0])):
            for j, other in enumerate(cells(sizes[1])):
                if far[i][j] < threshold:
                    a, b = query[n, :, one[0], one[1]], target[n, :, other[0], other[1]]
                    cosines = cosines + (a * b).sum() / (a * a).sum().sqrt() / (b * b).sum().sqrt()
                    count += 1
        total = total + cosines / (count + 1e-6)
    return -2 * total / len(query)
