"""Jobs of the tests of several tasks on one backbone, each run as ``job(rank, world)``."""
from __future__ import annotations

import torch
from references.tiny import build_multi_task, views_of

from jobs.densecl import without_gradient

#: images of each task in the batches of all processes together
IMAGES = dict(image=4, cells=2)


def batches(rank, world):
    """Inputs and views by task: this process's part of the same joined batches."""
    inputs, views = {}, {}
    for name, count in IMAGES.items():
        g = torch.Generator().manual_seed(count)
        rows = slice(rank * count // world, (rank + 1) * count // world)
        side = 64 if name == 'image' else 96
        inputs[name] = [torch.randn(count, 3, side, side, generator=g)[rows] for _ in range(2)]
        views[name] = views_of(torch.arange(count)[rows])
    return inputs, views


def multi_task_job(rank, world):
    """Losses, averaged gradients, queues, and what has no gradient; BatchNorm is frozen."""
    torch.manual_seed(0)
    model = build_multi_task()
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.train(False)
    step = torch.nn.parallel.DistributedDataParallel(
        model, broadcast_buffers=False) if world > 1 else model
    losses = step(*batches(rank, world), mode='loss')
    sum(losses.values()).backward()
    return ({name: loss.item() for name, loss in losses.items()},
            {name: p.grad.numpy() for name, p in model.named_parameters() if p.grad is not None},
            {name: value.numpy() for name, value in model.named_buffers() if 'queue.' in name},
            [name for name in without_gradient(model)[0] if '.twin.' not in name])


def gradient_job(rank, world):
    """The shares after one step; BatchNorm is frozen."""
    torch.manual_seed(0)
    model = build_multi_task(balance='gradient')
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.train(False)
    step = torch.nn.parallel.DistributedDataParallel(
        model, broadcast_buffers=False) if world > 1 else model
    losses = step(*batches(rank, world), mode='loss')
    model.parse_losses(losses)[0].backward()
    return (model.gradients.shares(),)
