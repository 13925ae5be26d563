"""Jobs of the tests of context necks, each run as ``job(rank, world)``."""
from __future__ import annotations

import torch

from mmdense.models.necks import CooccurrenceContext


def context_job(rank, world):
    """The table and what comes out for a part of four maps, after two steps."""
    torch.manual_seed(0)
    neck, maps = CooccurrenceContext(8, num_words=5), torch.randn(2, 4, 8, 3, 4)
    rows = slice(rank * 4 // world, (rank + 1) * 4 // world)
    out = [neck(step[rows]).detach() for step in maps]
    return neck.table, out[1]
