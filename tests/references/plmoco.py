"""PLMoCo as a slow float64 loop over cells, from its definition."""
from __future__ import annotations

from references.densecl import cross_entropy


def plmoco(cells, keys, matches, drawn, negatives, temperature=0.2) -> tuple[float, float]:
    """Return the mean loss of the drawn cells that have a positive, and the share of these.

    cells, keys: (B, D, N) and (B, D, M). matches: index (B, N) and valid. drawn: (B, n) numbers of
    the cells. negatives: function of an image's place in the batch, the keys (D,) that count.
    """
    losses, count = [], 0
    for b, numbers in enumerate(drawn.tolist()):
        for n in numbers:
            count += 1
            if matches.valid[b, n]:
                losses.append(cross_entropy(
                    cells[b, :, n].double(), keys[b, :, matches.index[b, n]].double(),
                    negatives(b), temperature))
    return sum(losses) / max(len(losses), 1), len(losses) / count
