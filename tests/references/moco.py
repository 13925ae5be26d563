"""MoCo v2's loss as a slow float64 loop, written from 1911.05722 eq. 1."""
from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor


def moco(query: Tensor, key: Tensor, queue: Tensor, temperature: float = 0.2,
         allowed: Callable[[int, int], bool] | None = None) -> float:
    """-log exp(q . k+ / T) / sum over k+ and the queue of exp(q . k / T), mean over queries.

    query, key: (B, D) of any length; queue: (K, D). Vectors are divided by their lengths.
    allowed: function (image, slot) -> bool, which negatives count; None = all.
    """
    def cosine(a: Tensor, b: Tensor) -> float:
        products = [float(x) * float(y) for x, y in zip(a, b, strict=True)]
        lengths = [math.sqrt(sum(float(x) ** 2 for x in v)) for v in (a, b)]
        return sum(products) / (lengths[0] * lengths[1])

    losses = []
    for b, q in enumerate(query.detach().double()):
        positive = math.exp(cosine(q, key[b].double()) / temperature)
        total = positive
        for slot, negative in enumerate(queue.double()):
            if allowed is None or allowed(b, slot):
                total += math.exp(cosine(q, negative) / temperature)
        losses.append(-math.log(positive / total))
    return sum(losses) / len(losses)
