"""Jobs of the tests of patch-level rotation, each run as ``job(rank, world)``."""
from __future__ import annotations

import torch
from references.tiny import build_rotation, turned_views

from jobs.densecl import without_gradient
from mmdense.structures import Views


def logits_of(batch: int, size: int = 8):
    return torch.randn(batch, 4, size, size, generator=torch.Generator().manual_seed(3))


def rotation_job(rank, world):
    """Loss, gradients and counts of a part of four images; what of a whole step has no gradient.

    One image has no patch, so processes have different numbers of them.
    """
    found = []
    for level in ('pixel', 'patch'):
        torch.manual_seed(0)
        method = build_rotation(level=level)
        rows = slice(rank * 4 // world, (rank + 1) * 4 // world)
        views = turned_views(4)
        mask = views.masks[0].clone()
        mask[1] = 0
        logits = logits_of(4)[rows].requires_grad_()
        losses = method.objective(logits, views.targets[0][rows], mask[rows])
        losses['loss_rotation'].backward()
        counts = method.confusion.counts.clone()
        step = torch.nn.parallel.DistributedDataParallel(method) if world > 1 else method
        method.zero_grad()
        whole = turned_views(2)
        step([torch.randn(2, 3, 64, 64)], Views(**vars(whole)), mode='loss')[
            'loss_rotation'].backward()
        found.append((losses['loss_rotation'].item(), logits.grad / world, counts,
                      without_gradient(method)))
    return found
