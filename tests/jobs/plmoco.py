"""Jobs of the tests of PLMoCo, each run as ``job(rank, world)``."""
from __future__ import annotations

import torch
from references.tiny import DECODER, build_plmoco, build_vader

from jobs.densecl import without_gradient
from jobs.location import maps, views_apart
from mmdense.structures import Views

#: also with whole images beside the cells
IMAGE = dict(projector=dict(type='mmdense.Projector', hidden_channels=32, out_channels=16),
             image_queue=dict(size=12, own_image='masked'))
HEAD = dict(type='mmdense.Projector', hidden_channels=32, out_channels=16)
#: PLEDMoCo with the encoder's own loss
ENCODER = dict(decode_head=DECODER, cell_projector=HEAD, encoder_projector=HEAD)
#: makers of whole networks, all of whose parts are trained
WHOLE = (build_plmoco, lambda: build_plmoco(**IMAGE), lambda: build_plmoco(**ENCODER), build_vader)


def all_cells(batch: int, seed: int = 1):
    """Cells (B, 16, 5, 4) of query and key, which also are what they are matched by."""
    (query, key), _ = maps(batch, seed=seed)
    return query, key


def plmoco_job(rank, world, make=build_plmoco):
    """Losses, share, gradients and keys of a part of four images; what of a step has no gradient.

    All cells are drawn, as each process draws its own.
    """
    torch.manual_seed(0)
    method = make(num_cells=20, queue=dict(size=90, own_image='masked'))
    rows = slice(rank * 4 // world, (rank + 1) * 4 // world)
    (query, key), views = all_cells(4), views_apart(4)
    query = query[rows].clone().requires_grad_()
    part = Views(views.boxes[:, rows], views.flips[:, rows], views.index[rows])
    online, target = (query, query.detach()), (key[rows], key[rows])
    if method.encoder_contrast is not None:
        online, target = 2 * online, 2 * target
    losses = method.objective(online, target, part)
    total = sum(value for name, value in losses.items() if 'loss' in name)
    total.backward()
    kept = method.contrast.queue
    seen = [(int(index), *vector[:3].tolist()) for index, vector in zip(
        kept.index, kept.keys, strict=True) if index >= 0]
    return total.item(), losses['matched'].item(), query.grad / world, sorted(seen)


def encoder_job(rank, world):
    """:func:`plmoco_job` with the encoder's own loss."""
    return plmoco_job(rank, world, lambda **changes: build_plmoco(**ENCODER, **changes))


def vader_job(rank, world):
    """:func:`plmoco_job` of VADeR."""
    return plmoco_job(rank, world, build_vader)


def whole_job(rank, world):
    """What of a step of each of the whole networks has no gradient."""
    missing = []
    for make in WHOLE:
        torch.manual_seed(0)
        whole = make()
        step = whole
        if world > 1:
            step = torch.nn.parallel.DistributedDataParallel(whole, broadcast_buffers=False)
        images = [torch.randn(2, 3, 64, 64) for _ in range(2)]
        found = step(images, views_apart(2), mode='loss')
        sum(value for name, value in found.items() if 'loss' in name).backward()
        missing.append(without_gradient(whole))
    return missing


def all_jobs(rank, world):
    """All of them in one group of processes."""
    return [job(rank, world) for job in (plmoco_job, encoder_job, vader_job)], whole_job(rank,
                                                                                         world)
