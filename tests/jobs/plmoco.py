"""Jobs of the tests of PLMoCo, each run as ``job(rank, world)``."""
from __future__ import annotations

import torch
from references.tiny import build_plmoco

from jobs.densecl import without_gradient
from jobs.location import maps, views_apart
from mmdense.structures import Views

#: also with whole images beside the cells
IMAGE = dict(projector=dict(type='mmdense.Projector', hidden_channels=32, out_channels=16),
             image_queue=dict(size=12, own_image='masked'))


def all_cells(batch: int, seed: int = 1):
    """Cells (B, 16, 5, 4) of query and key, which also are what they are matched by."""
    (query, key), _ = maps(batch, seed=seed)
    return query, key


def plmoco_job(rank, world):
    """Loss, share, gradients and keys of a part of four images; what of a step has no gradient.

    All cells are drawn, as each process draws its own.
    """
    torch.manual_seed(0)
    method = build_plmoco(num_cells=20, queue=dict(size=90, own_image='masked'))
    rows = slice(rank * 4 // world, (rank + 1) * 4 // world)
    (query, key), views = all_cells(4), views_apart(4)
    query = query[rows].clone().requires_grad_()
    part = Views(views.boxes[:, rows], views.flips[:, rows], views.index[rows])
    losses = method.objective((query, query.detach()), (key[rows], key[rows]), part)
    losses['loss_cells'].backward()
    kept = method.contrast.queue
    seen = [(int(index), *vector[:3].tolist()) for index, vector in zip(
        kept.index, kept.keys, strict=True) if index >= 0]
    missing = []
    for changes in ({}, IMAGE):
        torch.manual_seed(0)
        whole = build_plmoco(**changes)
        step = whole
        if world > 1:
            step = torch.nn.parallel.DistributedDataParallel(whole, broadcast_buffers=False)
        images = [torch.randn(2, 3, 64, 64) for _ in range(2)]
        found = step(images, views_apart(2), mode='loss')
        sum(value for name, value in found.items() if 'loss' in name).backward()
        missing.append(without_gradient(whole))
    return (losses['loss_cells'].item(), losses['matched'].item(), query.grad / world,
            sorted(seen), missing)
