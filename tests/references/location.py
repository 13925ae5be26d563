"""Location contrast as a slow float64 loop over pairs of cells, from its definition."""
from __future__ import annotations

import math

import torch
from torch import Tensor

from references.geometry import centre, diagonal
from references.nce import log_of_sum, unit


def pairs_of(matches, drawn) -> list[list[tuple[int, int]]]:
    """For each image, its drawn cells of the first view with the number of their partner."""
    return [[(n, int(matches.index[b, n])) for n in row.tolist() if matches.valid[b, n]]
            for b, row in enumerate(drawn)]


def location(cells: list[Tensor], keys: list[Tensor], boxes, flips, index: list[int], pairs,
             negatives: str, threshold: float, temperature: float) -> Tensor:
    """Return the loss of both views' cells (B, D, h, w), a mean over the cells of all pairs.

    keys: what the cells are compared with. pairs: of each image, cells of view 0 and of view 1.
    """
    drawn = []
    for b, image in enumerate(pairs):
        for number, two in enumerate(image):
            for view, cell in enumerate(two):
                size = tuple(cells[view].shape[2:])
                place = divmod(cell, size[1])
                box = [float(x) for x in boxes[view][b]]
                drawn.append(dict(
                    image=b, pair=(b, number), view=view, index=index[b],
                    row=unit(cells[view][b, :, place[0], place[1]].double()),
                    key=unit(keys[view][b, :, place[0], place[1]].double()),
                    at=centre(box, bool(flips[view][b]), size, *place),
                    wide=diagonal(box, size)))
    losses = []
    for one in drawn:
        partner, = (x for x in drawn if x['pair'] == one['pair'] and x['view'] != one['view'])
        logits = [torch.dot(one['row'], partner['key']) / temperature]
        for other in drawn:
            same = one['index'] == other['index']
            away = math.dist(one['at'], other['at']) / max(one['wide'], other['wide'])
            counts = dict(batch=not same, image=same, both=True)[negatives]
            if same and (away < threshold or one['pair'] == other['pair']):
                counts = False
            if counts:
                logits.append(torch.dot(one['row'], other['key']) / temperature)
        losses.append(log_of_sum(logits) - logits[0])
    return sum(losses) / len(losses) if losses else cells[0].double().sum() * 0
