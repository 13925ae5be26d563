"""Cells of a foreground before two backgrounds (CP2, 2203.11709)."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mmdense.mistakes import WrongValue

from .nce import check_temperature


def foreground_nce(query: Tensor, key: Tensor, query_mask: Tensor, key_mask: Tensor,
                   temperature: float = 1.0) -> Tensor:
    """Return the mean of -log softmax_i(q_i . k_j / T) over all foreground cells i and j.

    CP2's dense loss (2203.11709): the softmax is over all cells i of the query, those of
    the background too, for each key cell j of the foreground. Mean over an image's pairs, then
    over the images that have a foreground on both sides; 0 without any. In float32, also under
    autocast. What does not count may hold anything.

    Args:
        query, key: (B, D, h, w) and (B, D, h', w'); normalised here.
        query_mask, key_mask: (B, h, w) and (B, h', w') bool, the foreground.
        temperature: T.

    Raises:
        ValueError: shapes do not fit, or a temperature of 0 or below.
    """
    check_temperature(temperature)
    fits = query.shape[:2] == key.shape[:2] and all(
        mask.shape == (*maps.shape[:1], *maps.shape[2:])
        for maps, mask in ((query, query_mask), (key, key_mask)))
    if not fits:
        raise WrongValue(f'query {tuple(query.shape)} and key {tuple(key.shape)}, masks '
                         f'{tuple(query_mask.shape)} and {tuple(key_mask.shape)}: expected '
                         '(B, D, h, w), (B, D, h\', w\') and a mask of each')
    query_mask, key_mask = query_mask.flatten(1), key_mask.flatten(1)
    counts = query_mask.any(1) & key_mask.any(1)
    query = query.flatten(2).masked_fill(~counts[:, None, None], 0)
    key = key.flatten(2).masked_fill(~(key_mask & counts[:, None])[:, None], 0)
    with torch.autocast(query.device.type, enabled=False):
        dtype = torch.promote_types(query.dtype, torch.float32)
        query, key = (F.normalize(cells.to(dtype), dim=1) for cells in (query, key))
        inside, seen = (mask.to(dtype) / mask.sum(1, keepdim=True).clamp_min(1)
                        for mask in (query_mask, key_mask))
        logits = query.transpose(1, 2) @ key / temperature                      # (B, N, M)
        # mean over i of the foreground of log softmax, for each j
        shares = (inside[:, None] @ logits).squeeze(1) - logits.logsumexp(1)
        rows = -(shares * seen).sum(1).masked_fill(~counts, 0)
        return rows.sum() / counts.sum().clamp_min(1)
