"""Share of variance that the place explains, by loops over cells in float64."""
from __future__ import annotations


def place_share(vectors):
    """vectors: {(image, place): list of floats}, each pair at most once."""
    def mean(rows):
        return [sum(column) / len(rows) for column in zip(*rows, strict=True)]

    def squared(one, other):
        return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))

    common = mean(list(vectors.values()))
    total = sum(squared(one, common) for one in vectors.values())
    by = []
    for part in (0, 1):
        groups = {}
        for where, one in vectors.items():
            groups.setdefault(where[part], []).append(one)
        by.append((len(groups), sum(len(rows) * squared(mean(rows), common)
                                    for rows in groups.values())))
    (images, of_images), (places, of_places) = by
    noise = max(total - of_images - of_places, 0) / (len(vectors) - images - places + 1)
    return (of_places - (places - 1) * noise) / total
