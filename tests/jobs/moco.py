"""Jobs of the MoCo tests, each run as ``job(rank, world)``."""
from __future__ import annotations

import torch
from references.tiny import build_moco, views_of

from jobs.densecl import without_gradient


def vectors(batch, dim=16, seed=1):
    g = torch.Generator().manual_seed(seed)
    return [torch.randn(batch, dim, generator=g) for _ in range(2)]


def moco_job(rank, world):
    """Loss, gradients and keys of a part of six images; what of a whole step has no gradient."""
    torch.manual_seed(0)
    method = build_moco(queue=dict(size=10, own_image='masked'))
    rows = slice(rank * 6 // world, (rank + 1) * 6 // world)
    query, key = (part[rows].requires_grad_() for part in vectors(6))
    loss = method.objective((query,), (key.detach(),), views_of(torch.arange(6)[rows]))
    sum(loss.values()).backward()
    keys = method.contrast.queue.keys.clone()
    step = torch.nn.parallel.DistributedDataParallel(method) if world > 1 else method
    images = [torch.randn(4, 3, 64, 64) for _ in range(2)]
    sum(step(images, views_of(torch.arange(4)), mode='loss').values()).backward()
    return (loss['loss_image'].item(), query.grad / world, keys.numpy(), without_gradient(method))
