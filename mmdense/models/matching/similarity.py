"""Match cells of two views by the similarity of their features (DenseCL, 2011.09157, eq. 4)."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmdense.mistakes import WrongValue
from mmdense.registry import MODELS
from mmdense.structures import Views

from .matches import Matches


@torch.no_grad()
def similarity_matches(query: Tensor, key: Tensor) -> Matches:
    """For each query cell, the key cell of the same image with the highest cosine similarity.

    Many-to-one is allowed, ties go to the lowest number, and nothing is differentiated. In
    float32, also under autocast.

    Args:
        query: (B, C, h, w) features of the query view.
        key: (B, C, h', w') features of the key view, of any size.

    Raises:
        ValueError: batch or channels differ.
    """
    if query.shape[:2] != key.shape[:2]:
        raise WrongValue(f'query {tuple(query.shape)} and key {tuple(key.shape)} differ in batch '
                         'or channels')
    with torch.autocast(query.device.type, enabled=False):      # which would cast back for bmm
        # a query's own length scales its row and cannot change which cell is best
        query, key = query.flatten(2).float(), F.normalize(key.flatten(2).float(), dim=1)
        index = torch.bmm(query.transpose(1, 2), key).argmax(dim=2)
    return Matches(torch.ones_like(index, dtype=torch.bool), index)


@MODELS.register_module()
class SimilarityMatcher(nn.Module):
    """:func:`similarity_matches` as a component; it does not ask where the views lie."""

    def forward(self, query: Tensor, key: Tensor, views: Views) -> Matches:
        return similarity_matches(query, key)
