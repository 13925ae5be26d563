"""The compiled part of Felzenszwalb-Huttenlocher: edges, their order, and the merging.

Imported on the first use, not with the package: numba takes a second to import. What it compiles
is kept on disk (beside this file, in ``NUMBA_CACHE_DIR``, or in the user's cache folder where the
install is read-only), so that it is compiled once on a machine.
"""
from __future__ import annotations

from collections.abc import Callable

import numba
import numpy as np

#: an edge is packed as 32 bits of cost, 2 bits of direction, 30 bits of pixel number
MAX_PIXELS = 2 ** 30


def compiled(function: Callable) -> Callable:
    """Compile ``function``, with a cache on disk where any folder for it can be written to."""
    try:
        return numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:        # numba found no folder for its cache
        return numba.njit(nogil=True)(function)


@compiled
def _costs(image, costs):
    """Write the distances of all 8-connected neighbours, direction by direction.

    In the order of scikit-image, so that equal costs are taken in nearly the same order.
    """
    height, width, channels = image.shape
    at = 0
    for direction in range(4):
        down = 0 if direction == 0 else 1
        right = (1, 0, 1, -1)[direction]
        first = 1 if right < 0 else 0
        last = width - 1 if right > 0 else width
        for y in range(height - down):
            for x in range(first, last):
                total = 0.0
                for c in range(channels):
                    step = image[y + down, x + right, c] - image[y, x, c]
                    total += step * step
                costs[at] = np.sqrt(total)
                at += 1
    return at


@compiled
def _pack(bits, height, width, packed, counts):
    """Write each edge's cost, direction and pixel as one number; count the digits of the costs."""
    at = 0
    for direction in range(4):
        down = 0 if direction == 0 else 1
        right = (1, 0, 1, -1)[direction]
        first = 1 if right < 0 else 0
        last = width - 1 if right > 0 else width
        tag = np.uint64(direction) << np.uint64(30)
        for y in range(height - down):
            for x in range(first, last):
                cost = np.uint64(bits[at])
                packed[at] = cost << np.uint64(32) | tag | np.uint64(y * width + x)
                for digit in range(3):
                    counts[digit, (cost >> np.uint64(11 * digit)) & np.uint64(2047)] += 1
                at += 1


@compiled
def _sort(packed, spare, counts):
    """Sort by cost, equal costs in their order: a radix sort of three digits of 11 bits.

    The bits of a float32 that is not negative are in the order of the numbers.
    """
    for digit in range(3):
        shift = np.uint64(32 + 11 * digit)
        start = 0
        for value in range(2048):
            count = counts[digit, value]
            counts[digit, value] = start
            start += count
        for at in range(packed.size):
            value = (packed[at] >> shift) & np.uint64(2047)
            spare[counts[digit, value]] = packed[at]
            counts[digit, value] += 1
        packed, spare = spare, packed
    return packed


@compiled
def _root(parents, node):
    while parents[node] != node:
        parents[node] = parents[parents[node]]
        node = parents[node]
    return node


@compiled
def _merge(edges, costs, width, pixels, scale, min_size):
    """Merge pixels along the sorted edges; return region numbers from 1 in reading order."""
    parents = np.arange(pixels).astype(np.int32)
    sizes = np.ones(pixels, np.int32)
    limits = np.full(pixels, scale)
    steps = np.array([1, width, width + 1, width - 1])
    kept = 0
    for at in range(edges.size):
        node = np.int64(edges[at] & np.uint64(0x3FFFFFFF))
        step = steps[np.int64((edges[at] >> np.uint64(30)) & np.uint64(3))]
        a, b = _root(parents, node), _root(parents, node + step)
        if a == b:
            continue
        cost = np.float64(costs[at])
        if cost < limits[a] and cost < limits[b]:
            if sizes[a] < sizes[b]:
                a, b = b, a
            parents[b] = a
            sizes[a] += sizes[b]
            limits[a] = cost + scale / sizes[a]
        else:       # all that the second walk, over regions that are too small, has to see
            edges[kept] = edges[at]
            kept += 1
    for at in range(kept):
        node = np.int64(edges[at] & np.uint64(0x3FFFFFFF))
        step = steps[np.int64((edges[at] >> np.uint64(30)) & np.uint64(3))]
        a, b = _root(parents, node), _root(parents, node + step)
        if a != b and (sizes[a] < min_size or sizes[b] < min_size):
            if sizes[a] < sizes[b]:
                a, b = b, a
            parents[b] = a
            sizes[a] += sizes[b]
    numbers = np.zeros(pixels, np.int32)
    regions = np.empty(pixels, np.int32)
    count = 0
    for node in range(pixels):
        root = _root(parents, node)
        if numbers[root] == 0:
            count += 1
            numbers[root] = count
        regions[node] = numbers[root]
    return regions


@compiled
def partition(image, scale, min_size):
    """Return region numbers (H * W,) int32 from 1 of a blurred image (H, W, C) in [0, 1]."""
    height, width = image.shape[:2]
    pixels = height * width
    number = 4 * pixels - 3 * (height + width) + 2
    costs = np.empty(number, np.float32)
    _costs(image, costs)
    packed = np.empty(number, np.uint64)
    counts = np.zeros((3, 2048), np.int64)
    _pack(costs.view(np.uint32), height, width, packed, counts)
    edges = _sort(packed, np.empty(number, np.uint64), counts)
    bits = np.empty(number, np.uint32)
    for at in range(number):
        bits[at] = np.uint32(edges[at] >> np.uint64(32))
    return _merge(edges, bits.view(np.float32), width, pixels, scale, min_size)
