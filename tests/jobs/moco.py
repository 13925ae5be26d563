"""Jobs of the MoCo tests, each run as ``job(rank, world)``."""
from __future__ import annotations

import torch
from references.tiny import DECODER, build_moco, views_of

from jobs.densecl import without_gradient


def vectors(batch, dim=16, seed=1):
    g = torch.Generator().manual_seed(seed)
    return [torch.randn(batch, dim, generator=g) for _ in range(2)]


HEAD = dict(type='mmdense.Projector', hidden_channels=32, out_channels=16)
#: EDMoCo with the encoder's own loss
ENCODER = dict(decode_head=DECODER, projector=HEAD, encoder_projector=HEAD)


def moco_job(rank, world, **changes):
    """Loss, gradients and keys of a part of six images; what of a whole step has no gradient."""
    torch.manual_seed(0)
    method = build_moco(queue=dict(size=10, own_image='masked'), **changes)
    rows = slice(rank * 6 // world, (rank + 1) * 6 // world)
    query, key = (part[rows].requires_grad_() for part in vectors(6))
    count = 2 if changes else 1
    loss = method.objective((query,) * count, (key.detach(),) * count,
                            views_of(torch.arange(6)[rows]))
    sum(loss.values()).backward()
    keys = method.contrast.queue.keys.clone()
    step = torch.nn.parallel.DistributedDataParallel(method) if world > 1 else method
    images = [torch.randn(4, 3, 64, 64) for _ in range(2)]
    sum(step(images, views_of(torch.arange(4)), mode='loss').values()).backward()
    return (sum(loss.values()).item(), query.grad / world, keys.numpy(), without_gradient(method))


def both_jobs(rank, world):
    """With a decoder and without."""
    return moco_job(rank, world), moco_job(rank, world, **ENCODER)
