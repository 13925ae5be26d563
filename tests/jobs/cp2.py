"""Jobs of the tests of CP2, each run as ``job(rank, world)``."""
from __future__ import annotations

import torch
from references.tiny import build_cp2, views_of

from jobs.densecl import without_gradient
from mmdense.structures import Views


def branches(batch, dim=16, side=(4, 3), seed=1):
    """Cells of query and key, and views with masks of 16 x 12 pixels."""
    g = torch.Generator().manual_seed(seed)
    cells = [torch.randn(batch, dim, *side, generator=g) for _ in range(2)]
    masks = [torch.rand(batch, 16, 12, generator=g) < 0.5 for _ in range(2)]
    views = views_of(torch.arange(batch))
    return *cells, Views(views.boxes, views.flips, views.index, masks=masks)


def objective_job(rank, world):
    torch.manual_seed(0)
    method = build_cp2(queue=dict(size=10, own_image='masked'))
    cells, keys, views = branches(6)
    rows = slice(rank * 6 // world, (rank + 1) * 6 // world)
    cells = cells[rows].clone().requires_grad_()
    part = Views(views.boxes[:, rows], views.flips[:, rows], views.index[rows],
                 masks=[mask[rows] for mask in views.masks])
    losses = method.objective((cells,), (keys[rows],), part)
    sum(losses.values()).backward()
    return ({name: loss.item() for name, loss in losses.items()}, cells.grad / world,
            method.contrast.queue.keys, method.contrast.queue.index)


def ddp_job(rank, world):
    torch.manual_seed(0)
    method = build_cp2(twin=dict(momentum=0.9, bn='shuffle'))
    model = torch.nn.parallel.DistributedDataParallel(method, broadcast_buffers=False)
    torch.manual_seed(rank)
    images = [torch.randn(3, 3, 64, 64) for _ in range(2)]
    sum(model(images, views_of(torch.arange(3)), mode='loss').values()).backward()
    return without_gradient(method)


def objective_and_ddp_job(rank, world):
    return objective_job(rank, world), ddp_job(rank, world)
