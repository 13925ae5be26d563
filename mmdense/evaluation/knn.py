"""Dense k-NN: exact weighted nearest neighbours, in blocks of bounded memory."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mmdense.mistakes import WrongValue

from .baselines import upsample
from .labelled_cells import LabelledCells

#: similarities held at once: 64 MB on a CPU, 1 GB on a GPU
BLOCK = {'cpu': 2 ** 24, 'cuda': 2 ** 28}
KEY_BLOCK = 2 ** 15


@torch.no_grad()
def nearest(queries: Tensor, keys: Tensor, k: int,
            block: int | None = None) -> tuple[Tensor, Tensor]:
    """Return the k largest inner products of each query and the numbers of their keys.

    Args:
        queries: (M, D).
        keys: (N, D), k <= N; of another dtype, such as float16, they are converted to that of the
            queries, one block at a time.
        k: neighbours.
        block: similarities held at once; None = by device.

    Returns:
        (M, k) similarities, falling, and (M, k) int64.
    """
    block = block or BLOCK.get(queries.device.type, BLOCK['cpu'])
    width = min(len(keys), max(k, min(KEY_BLOCK, block)))
    height = max(1, min(len(queries), block // width))
    # one buffer for all blocks: on a CPU fresh pages cost as much as the product
    buffer = queries.new_empty(height * width)
    converted = None if keys.dtype == queries.dtype else queries.new_empty(width, keys.shape[1])
    best = queries.new_empty(len(queries), k), keys.new_empty(len(queries), k, dtype=torch.long)
    for row in range(0, len(queries), height):
        rows = queries[row:row + height]
        top = rows.new_empty(len(rows), 0), keys.new_empty(len(rows), 0, dtype=torch.long)
        for start in range(0, len(keys), width):
            part = keys[start:start + width]
            if converted is not None:
                part = converted[:len(part)].copy_(part)
            scores = buffer[:len(rows) * len(part)].view(len(rows), len(part))
            torch.mm(rows, part.t(), out=scores)
            values, index = scores.topk(min(k, len(part)), dim=1)
            values, index = torch.cat([top[0], values], 1), torch.cat([top[1], index + start], 1)
            values, order = values.topk(min(k, values.shape[1]), dim=1)
            top = values, index.gather(1, order)
        best[0][row:row + height], best[1][row:row + height] = top
    return best


@torch.no_grad()
def knn_vote(queries: Tensor, keys: Tensor, labels: Tensor, k: int = 30, beta: float = 0.02,
             block: int | None = None) -> Tensor:
    """Return class scores: labels of the k nearest keys, weighted by softmax(cosine / beta).

    Args:
        queries: (M, D) unit rows.
        keys: (N, D) unit rows; with N < k all of them vote.
        labels: (N, C) class shares.
        k: neighbours.
        beta: temperature.
        block: similarities held at once; None = by device.

    Returns:
        (M, C) scores; a row sums to 1.

    Raises:
        ValueError: features that are not finite.
    """
    similarity, index = nearest(queries, keys, min(k, len(keys)), block)
    if not similarity.isfinite().all():
        bad = int((~similarity.isfinite().all(1)).sum())
        raise WrongValue(f'dense k-NN: {bad} of {len(queries)} cells have neighbours that are nan '
                         'or infinite; expected finite features')
    weight = (similarity / beta).softmax(dim=1)
    rows = max(1, (block or BLOCK['cpu']) // (index.shape[1] * labels.shape[1]))
    return torch.cat([(w[:, :, None] * labels[i]).sum(1)
                      for w, i in zip(weight.split(rows), index.split(rows), strict=True)])


class KNNSegmenter:
    """Dense k-NN segmentation: labelled cells vote for the class of the cells of other maps.

    Args:
        memory: the cells that vote.
        device: where it is computed.
        k: neighbours.
        beta: temperature of their votes.

    Raises:
        ValueError: no labelled cell, k < 1, beta <= 0.
    """

    def __init__(self, memory: LabelledCells, device: torch.device | str, k: int = 30,
                 beta: float = 0.02) -> None:
        if k < 1 or beta <= 0:
            raise WrongValue(f'k={k}, beta={beta}: dense k-NN needs k >= 1 and beta > 0')
        self.k, self.beta = k, beta
        keys, counts = memory.gathered(device)
        self.keys, self.shares = F.normalize(keys, dim=1), F.normalize(counts, p=1, dim=1)

    @torch.no_grad()
    def __call__(self, maps: Tensor, size: tuple[int, int]) -> Tensor:
        """Return the classes (H, W) int64, of ``size``, of a map (D, h, w)."""
        unit = F.normalize(maps.to(self.keys.device).flatten(1).t(), dim=1)
        votes = knn_vote(unit, self.keys, self.shares, self.k, self.beta)
        return upsample(votes, *maps.shape[1:], size)
