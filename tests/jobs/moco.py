"""Jobs of the MoCo v2 tests, each run as ``job(rank, world)``."""
from __future__ import annotations

import torch
from references.tiny import build_moco, views_of

from .densecl import without_gradient


def vectors(batch, dim=16, seed=1):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(batch, dim, generator=g), torch.randn(batch, dim, generator=g)


def objective_job(rank, world):
    torch.manual_seed(0)
    method, (query, key) = build_moco(queue=dict(size=10, own_image='masked')), vectors(6)
    rows = slice(rank * 6 // world, (rank + 1) * 6 // world)
    query = query[rows].requires_grad_()
    # a second time, with keys of the same images in the queue
    for _ in range(2):
        loss = method.objective((query,), (key[rows],), torch.arange(6)[rows])['loss_single']
    loss.backward()
    return loss.item(), query.grad / world, method.queue.keys.numpy(), method.queue.index.numpy()


def ddp_job(rank, world):
    torch.manual_seed(0)
    method = build_moco(twin=dict(momentum=0.9, bn='shuffle'))
    model = torch.nn.parallel.DistributedDataParallel(method, broadcast_buffers=False)
    torch.manual_seed(rank)
    images = [torch.randn(4, 3, 64, 64) for _ in range(2)]
    sum(model(images, views_of(torch.arange(4)), mode='loss').values()).backward()
    return without_gradient(method)
