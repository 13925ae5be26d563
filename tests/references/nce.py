"""Noise-contrastive losses from their formulas: float64, one row and one key at a time."""
from __future__ import annotations

import math

import torch
from torch import Tensor


def unit(vector: Tensor) -> Tensor:
    return vector / vector.square().sum().sqrt()


def log_of_sum(logits: list[Tensor]) -> Tensor:
    """log(sum of exp), around the largest, of at least one scalar; nan of nan."""
    if any(math.isnan(logit.item()) for logit in logits):
        return torch.stack(logits).sum() * math.nan
    largest = max(logit.item() for logit in logits)
    total = torch.zeros((), dtype=torch.float64)
    for logit in logits:
        total = total + torch.exp(logit - largest)
    return torch.log(total) + largest


def masked_nce(query: Tensor, keys: Tensor, positive: Tensor, negative: Tensor,
               temperature: float, normalize: bool) -> Tensor:
    """As :func:`mmdense.models.losses.masked_nce`, masks as bool (N, K)."""
    losses = []
    for i, q in enumerate(query.double()):
        q = unit(q) if normalize else q
        pulled, pushed = [], []
        for j, k in enumerate(keys.double()):
            logit = torch.dot(q, unit(k) if normalize else k) / temperature
            pulled += [logit] if positive[i, j] else []
            pushed += [logit] if negative[i, j] else []
        if pulled:
            losses.append(log_of_sum(pulled + pushed) - log_of_sum(pulled))
    return sum(losses) / len(losses) if losses else query.sum().double() * 0


def info_nce(query: Tensor, positive: Tensor, negatives: Tensor, temperature: float,
             normalize: bool, query_index: list[int] | None = None,
             negative_index: list[int] | None = None) -> Tensor:
    """As :func:`mmdense.models.losses.info_nce`."""
    losses = []
    for i, (q, p) in enumerate(zip(query.double(), positive.double(), strict=True)):
        q, p = (unit(q), unit(p)) if normalize else (q, p)
        pull = torch.dot(q, p) / temperature
        logits = [pull]
        for j, n in enumerate(negatives.double()):
            image = -1 if negative_index is None else negative_index[j]
            own = query_index is not None and image >= 0 and image == query_index[i]
            if image != -2 and not own:
                logits.append(torch.dot(q, unit(n) if normalize else n) / temperature)
        losses.append(log_of_sum(logits) - pull)
    return sum(losses) / len(losses)
