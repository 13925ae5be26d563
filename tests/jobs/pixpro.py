"""Jobs of the tests of PixPro and PixContrast, each run as ``job(rank, world)``."""
from __future__ import annotations

import torch
from references.tiny import build_pixel

from jobs.densecl import without_gradient
from jobs.location import maps, views_apart
from mmdense.structures import Views

HEAD = dict(type='mmdense.Projector', hidden_channels=32, out_channels=16)
#: PixPro with its loss of whole images
INSTANCE = dict(instance_projector=HEAD,
                instance_predictor=dict(HEAD, in_channels=16))
CASES = (('PixPro', {}), ('PixPro', INSTANCE), ('PixContrast', {}))


def cells(batch: int):
    """Cells (B, 16, 5, 4) of one view and of the other."""
    return maps(batch)[0]


def pixel_job(rank, world):
    """Losses and gradients of a part of four images; what of a whole step has no gradient."""
    results, missing = [], []
    rows = slice(rank * 4 // world, (rank + 1) * 4 // world)
    for kind, changes in CASES:
        torch.manual_seed(0)
        method = build_pixel(kind, **changes)
        (query, key), views = cells(4), views_apart(4)
        query = query[rows].clone().requires_grad_()
        part = Views(views.boxes[:, rows], views.flips[:, rows], views.index[rows])
        count = 2 if changes else 1
        losses = method.objective((query,) * count, (key[rows],) * count, part)
        sum(value for name, value in losses.items() if 'loss' in name).backward()
        results.append(({name: value.item() for name, value in losses.items()},
                        query.grad / world))
        step = method
        if world > 1:
            step = torch.nn.parallel.DistributedDataParallel(method, broadcast_buffers=False)
        images = [torch.randn(2, 3, 64, 64) for _ in range(2)]
        method.zero_grad()
        found = step(images, views_apart(2), mode='loss')
        sum(value for name, value in found.items() if 'loss' in name).backward()
        missing.append(without_gradient(method))
    return results, missing
