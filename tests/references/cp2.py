"""CP2's losses as slow float64 loops, written from 2203.11709."""
from __future__ import annotations

import torch
from torch import Tensor

from references.nce import log_of_sum, unit


def cells_of(maps: Tensor, mask: Tensor) -> tuple[list[Tensor], list[bool]]:
    """One image's unit cells of a map (D, h, w), row by row, and which are foreground."""
    h, w = maps.shape[1:]
    places = [(row, column) for row in range(h) for column in range(w)]
    return ([unit(maps[:, row, column].double()) for row, column in places],
            [bool(mask[row, column]) for row, column in places])


def foreground_nce(query: Tensor, key: Tensor, query_mask: Tensor, key_mask: Tensor,
                   temperature: float) -> Tensor:
    """Mean over images of the mean over foreground pairs of -log softmax over the query's cells."""
    images = []
    for b in range(len(query)):
        (q, inside), (k, seen) = cells_of(query[b], query_mask[b]), cells_of(key[b], key_mask[b])
        pairs = []
        for j in (j for j, yes in enumerate(seen) if yes):
            logits = [torch.dot(one, k[j]) / temperature for one in q]
            pairs += [log_of_sum(logits) - logits[i] for i, yes in enumerate(inside) if yes]
        if pairs:
            images.append(sum(pairs) / len(pairs))
    return sum(images) / len(images) if images else query.double().sum() * 0


def instance_nce(query: Tensor, key: Tensor, query_mask: Tensor, key_mask: Tensor,
                 queue: list[Tensor], temperature: float) -> Tensor:
    """InfoNCE of the mean foreground cells with the keys of a queue, a mean over images."""
    rows = []
    for b in range(len(query)):
        means = []
        for maps, mask in ((query[b], query_mask[b]), (key[b], key_mask[b])):
            cells, inside = cells_of(maps, mask)
            chosen = [cell for cell, yes in zip(cells, inside, strict=True) if yes]
            means.append(sum(chosen) / len(chosen) if chosen else None)
        if any(mean is None for mean in means):
            continue
        q, p = map(unit, means)
        logits = [torch.dot(q, p) / temperature]
        logits += [torch.dot(q, unit(n.double())) / temperature for n in queue]
        rows.append(log_of_sum(logits) - logits[0])
    return sum(rows) / len(rows) if rows else query.double().sum() * 0
