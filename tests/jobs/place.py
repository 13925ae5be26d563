"""Jobs of the tests of the place share as a loss, each run as ``job(rank, world)``."""
from __future__ import annotations

import torch
from references.tiny import (
    build,
    build_cp2,
    build_detcon,
    build_location,
    build_moco,
    region_views,
)

from jobs.densecl import without_gradient
from mmdense.models.losses import place_share

METHODS = {'MoCo': build_moco, 'DenseCL': build, 'DetConS': lambda **kw: build_detcon('S', **kw),
           'DetConB': lambda **kw: build_detcon('B', **kw), 'LocationContrast': build_location,
           'CP2': build_cp2}
#: those of two networks, of one, and of one whose map is a decoder's
UNDER_DDP = ('DenseCL', 'DetConS', 'CP2')


def method_and_views(name, **changes):
    torch.manual_seed(0)
    method = METHODS[name](**changes)
    return method, [torch.randn(4, 3, 64, 64) for _ in range(2)], region_views(4)


def share_job(rank, world):
    g = torch.Generator().manual_seed(2)
    maps = torch.randn(4, 5, 3, 2, generator=g) + torch.randn(1, 5, 3, 2, generator=g)
    part = maps[rank * 4 // world:(rank + 1) * 4 // world].clone().requires_grad_()
    share = place_share(part)
    share.backward()
    return share.item(), part.grad / world


def ddp_job(rank, world):
    found = []
    for name in UNDER_DDP:
        method, images, views = method_and_views(
            name, penalties=dict(place=dict(type='mmdense.PlacePenalty')))
        model = torch.nn.parallel.DistributedDataParallel(method, broadcast_buffers=False)
        method.parse_losses(model(images, views, mode='loss'))[0].backward()
        found.append(without_gradient(method))
    return found


def share_and_ddp_job(rank, world):
    return share_job(rank, world), ddp_job(rank, world)
