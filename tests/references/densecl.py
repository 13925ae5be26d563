"""DenseCL's losses as slow float64 loops, written from 2011.09157 eq. 1-5."""
from __future__ import annotations

import math


def unit(v):
    return v / max(v.norm().item(), 1e-12)


def cross_entropy(query, positive, negatives, temperature):
    """-log of the positive's share, one query; similarities are cosines over T."""
    query = unit(query)
    logits = [float(query @ unit(positive)) / temperature]
    logits += [float(query @ unit(n)) / temperature for n in negatives]
    top = max(logits)
    return top + math.log(sum(math.exp(x - top) for x in logits)) - logits[0]


def densecl(online, target, queue, dense_queue, temperature=0.2, allowed=None):
    """Return (single, dense), unweighted.

    online, target: vector (B, D), cells (B, D, N), map (B, C, h, w); queues (K, D).
    allowed: function (image, slot) -> bool, which negatives count; None = all.
    """
    online = [t.detach().double() for t in online]
    target = [t.detach().double() for t in target]
    single, dense = [], []
    for b in range(len(online[0])):
        slots = [k for k in range(len(queue)) if allowed is None or allowed(b, k)]
        negatives = [queue[k].double() for k in slots]
        single.append(cross_entropy(online[0][b], target[0][b], negatives, temperature))
        negatives = [dense_queue[k].double() for k in slots]
        query_map, key_map = online[2][b].flatten(1), target[2][b].flatten(1)
        for i in range(query_map.shape[1]):
            cosines = [float(unit(query_map[:, i]) @ unit(key_map[:, j]))
                       for j in range(key_map.shape[1])]
            j = max(range(len(cosines)), key=lambda j: cosines[j])
            dense.append(cross_entropy(online[1][b, :, i], target[1][b, :, j], negatives,
                                       temperature))
    return sum(single) / len(single), sum(dense) / len(dense)
