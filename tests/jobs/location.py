"""Jobs of the tests of location contrast, each run as ``job(rank, world)``."""
from __future__ import annotations

import torch
from references.tiny import build_location

from jobs.densecl import without_gradient
from mmdense.structures import Views

#: cases of :func:`objective_job`: negatives, and whether keys are a twin's
CASES = {'both': ('both', False), 'batch': ('batch', False), 'image': ('image', False),
         'both, twin': ('both', True)}


def views_apart(batch: int) -> Views:
    """Views of 40 to 100 pixels that overlap, each in its own way, or (image 1) not at all."""
    g = torch.Generator().manual_seed(5)
    low, high = (torch.rand(2, batch, 2, generator=g) * 30 for _ in range(2))
    boxes = torch.cat([low, 70 + high], 2)
    if batch > 1:
        boxes[1, 1] += 200
    return Views(boxes=boxes, flips=torch.rand(2, batch, generator=g) < 0.5,
                 index=torch.arange(batch) + 3)


def maps(batch: int, dim: int = 16, side: tuple[int, int] = (5, 4), seed: int = 1):
    """Cells of both views, and others for the keys."""
    g = torch.Generator().manual_seed(seed)
    one = [torch.randn(batch, dim, *side, generator=g) for _ in range(4)]
    return one[:2], one[2:]


def objective_case(negatives, twin, rank, world):
    torch.manual_seed(0)
    method = build_location(negatives=negatives,
                            twin=dict(momentum=0.9, bn='plain') if twin else None)
    (cells, keys), views = maps(4), views_apart(4)
    rows = slice(rank * 4 // world, (rank + 1) * 4 // world)
    cells = [x[rows].clone().requires_grad_() for x in cells]
    part = Views(views.boxes[:, rows], views.flips[:, rows], views.index[rows])
    losses = method.objective(cells, [x[rows] for x in keys] if twin else cells, part)
    losses['loss_location'].backward()
    return losses['loss_location'].item(), losses['matched'].item(), [
        x.grad / world for x in cells]


def ddp_case(**changes):
    torch.manual_seed(0)
    method = build_location(**changes)
    model = torch.nn.parallel.DistributedDataParallel(method, broadcast_buffers=False)
    images = [torch.randn(2, 3, 64, 64) for _ in range(2)]
    model(images, views_apart(2), mode='loss')['loss_location'].backward()
    return without_gradient(method)


def objective_and_ddp_job(rank, world):
    cases = {name: objective_case(*case, rank, world) for name, case in CASES.items()}
    return cases, [ddp_case(), ddp_case(twin=dict(momentum=0.9, bn='shuffle'))]
