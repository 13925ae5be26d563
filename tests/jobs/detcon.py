"""Jobs of the tests of DetCon and its loss, each run as ``job(rank, world)``."""
from __future__ import annotations

from unittest import mock

import torch
from references.tiny import build_detcon, region_views

from jobs.densecl import without_gradient
from mmdense.models.losses import detcon_nce
from mmdense.models.selfsup import detcon
from mmdense.structures import Views

#: sources of regions, by name
SOURCES = dict(given=dict(type='mmdense.GivenRegions'),
               clustered=dict(type='mmdense.ClusteredRegions', clusters=(2, 4), iterations=3),
               soft=dict(type='mmdense.SoftRegions', in_channels=64, num_regions=5))
#: cases of :func:`method_job`: kind, source of regions, and which images have no region
CASES = {'S': ('S', 'given', [1]), 'B': ('B', 'given', [1]), 'S soft': ('S', 'soft', []),
         'B soft': ('B', 'soft', []), 'S, nothing on one process': ('S', 'given', [2, 3]),
         'B, nothing on one process': ('B', 'given', [2, 3])}


def batch(images=4, samples=5, dim=6):
    """Four features (B, R, D) and four ids (B, R); ids of a view are the same on both sides."""
    g = torch.Generator().manual_seed(3)
    features = [torch.randn(images, samples, dim, generator=g) for _ in range(4)]
    ids = [torch.randint(0, 4, (images, samples), generator=g) for _ in range(2)]
    return features, [*ids, *ids]


def loss_job(gather_grad, negative_group, rank, world):
    features, ids = batch()
    rows = slice(rank * 4 // world, (rank + 1) * 4 // world)
    features = [x[rows].clone().requires_grad_() for x in features]
    loss = detcon_nce(*features, *(x[rows] for x in ids), gather_grad=gather_grad,
                      negative_group=negative_group)
    loss.backward()
    return loss.item(), [None if x.grad is None else x.grad / world for x in features]


def take_in_turn(cells, count=16):
    """In place of :func:`sample_regions`: the ids of an image one after the other, then again."""
    rows = []
    for image in cells:
        ids = [i for i in image.unique().tolist() if i] or [0]
        rows.append([ids[n % len(ids)] for n in range(count)])
    return torch.tensor(rows, dtype=torch.int64, device=cells.device)


def branches(batch, side=(4, 3), channels=64, seed=1, pixels=(24, 20), ids=4):
    """Maps of two views, those of the twin, and views with region maps."""
    g = torch.Generator().manual_seed(seed)
    maps = [torch.randn(batch, channels, *side, generator=g) for _ in range(4)]
    regions = [torch.randint(0, ids + 1, (batch, *side), generator=g) for _ in range(2)]
    regions = [x.repeat_interleave(pixels[0] // side[0], 1).repeat_interleave(
        -(-pixels[1] // side[1]), 2)[:, :, :pixels[1]] for x in regions]
    return maps[:2], maps[2:], Views(boxes=torch.tensor([0., 0, 1, 1]).expand(2, batch, 4),
                                     flips=torch.zeros(2, batch, dtype=torch.bool),
                                     index=torch.arange(batch), regions=regions)


def objective(method, maps, targets, views):
    """The losses of a method of either kind from the maps on."""
    sides = (maps,) if isinstance(method, detcon.DetConS) else (maps, targets)
    return method.objective(*sides, None, views)


def method_case(kind, source, empty, rank, world):
    torch.manual_seed(0)
    method = build_detcon(kind, regions=SOURCES[source], num_samples=6)
    maps, targets, views = branches(4)
    for regions in views.regions:
        regions[empty] = 0
    rows = slice(rank * 4 // world, (rank + 1) * 4 // world)
    maps = [x[rows].clone().requires_grad_() for x in maps]
    part = Views(views.boxes[:, rows], views.flips[:, rows], views.index[rows],
                 [regions[rows] for regions in views.regions])
    losses = objective(method, maps, [x[rows] for x in targets], part)
    sum(losses.values()).backward()
    return ({name: loss.item() for name, loss in losses.items()}, [x.grad / world for x in maps],
            {name: p.grad / world for name, p in method.named_parameters() if p.grad is not None})


def method_job(rank, world):
    """Losses, gradients to the maps, and this process's part of the averaged ones of weights."""
    with mock.patch.object(detcon, 'sample_regions', take_in_turn):
        return {name: method_case(*case, rank, world) for name, case in CASES.items()}


def train_images(batch, views=3, side=64):
    return [torch.randn(batch, 3, side, side) for _ in range(views)]


def ddp_job(rank, world):
    """What :func:`without_gradient` says of both kinds with each source of regions."""
    found = {}
    for kind in 'SB':
        for source, regions in SOURCES.items():
            torch.manual_seed(0)
            method = build_detcon(kind, regions=regions)
            model = torch.nn.parallel.DistributedDataParallel(method, broadcast_buffers=False)
            torch.manual_seed(rank)
            losses = model(train_images(2, method.num_views), region_views(2, views=3), mode='loss')
            sum(losses.values()).backward()
            found[kind, source] = without_gradient(method)
    return found


def method_and_ddp_job(rank, world):
    """Both in the same processes, whose start takes longer."""
    return method_job(rank, world), ddp_job(rank, world)
