"""Jobs of the DenseCL tests, each run as ``job(rank, world)``."""
from __future__ import annotations

import torch
from references.tiny import build, views_of


def branches(batch, dim=16, channels=12, side=(3, 2), seed=1):
    g = torch.Generator().manual_seed(seed)
    cells = side[0] * side[1]

    def one():
        return [torch.randn(batch, dim, generator=g), torch.randn(batch, dim, cells, generator=g),
                torch.randn(batch, channels, *side, generator=g)]
    return one(), one()


def objective_job(rank, world):
    torch.manual_seed(0)
    method, (online, target) = build(queue=dict(size=10, own_image='masked')), branches(6)
    rows = slice(rank * 6 // world, (rank + 1) * 6 // world)
    online = [t[rows].requires_grad_() for t in online]
    losses = method.objective(online, [t[rows] for t in target], views_of(torch.arange(6)[rows]))
    sum(losses.values()).backward()
    grads = [torch.zeros_like(t) if t.grad is None else t.grad / world for t in online]
    return ({k: v.item() for k, v in losses.items()}, grads, method.contrast.queue.keys.numpy(),
            method.dense_contrast.queue.index.numpy())


def shuffle_job(rank, world):
    torch.manual_seed(0)
    method = build(twin=dict(momentum=0.9, bn='shuffle'))
    method.twin.requires_grad_(False)
    torch.manual_seed(7 + rank)
    images = torch.randn(5, 3, 32, 32)
    seen = []

    def job(net, batch):
        seen.append(batch)
        return batch.sum(dim=(1, 2, 3)), batch[:, :2]
    sums, part = method.twin(images, job)
    method.twin.train()
    shared = len({tuple(row.tolist()) for row in images.flatten(1)[:, :3]}
                 & {tuple(row.tolist()) for row in seen[0].flatten(1)[:, :3]})
    torch.testing.assert_close(sums, images.sum(dim=(1, 2, 3)))
    return bool(torch.equal(part, images[:, :2])), shared, len(seen[0])


def ddp_job(rank, world):
    torch.manual_seed(0)
    method = build()
    model = torch.nn.parallel.DistributedDataParallel(method, broadcast_buffers=False)
    torch.manual_seed(rank)
    images = [torch.randn(4, 3, 64, 64) for _ in range(2)]
    sum(model(images, views_of(torch.arange(4)), mode='loss').values()).backward()
    return without_gradient(method)


def without_gradient(method):
    """Names of trained parameters without gradient, and of twin parameters with one."""
    return ([n for n, p in method.named_parameters()
             if p.grad is None and not n.startswith('twin.')],
            [n for n, p in method.named_parameters()
             if p.grad is not None and n.startswith('twin.')])
