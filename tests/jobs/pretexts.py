"""Jobs of the tests of predictive pretexts, each run as ``job(rank, world)``."""
from __future__ import annotations

import torch
from references.tiny import build_pretext, views_of

from jobs.densecl import without_gradient

EXEMPLARS = ('one', 'all', 'hardest')


def vectors(batch: int):
    return torch.randn(2, batch, 16, generator=torch.Generator().manual_seed(2))


def colours(batch: int, size: int = 4, bins: int = 261):
    """Logits (B, Q, 3, 3), a and b of 8 bits (B, 2, size, size), and which images count."""
    g = torch.Generator().manual_seed(4)
    chroma = torch.randint(90, 170, (batch, 2, size, size), generator=g, dtype=torch.uint8)
    coloured = torch.ones(batch, dtype=torch.bool)
    coloured[1:2] = False
    return 3 * torch.randn(batch, bins, 3, 3, generator=g), chroma, coloured


def motion(batch: int):
    """Logits (B, 1, 3, 4) and masks (B, 6, 8), of image 1 nothing known."""
    g = torch.Generator().manual_seed(6)
    mask = torch.randint(3, (batch, 6, 8), generator=g)
    mask[1:2] = 0
    return 2 * torch.randn(batch, 1, 3, 4, generator=g), mask


def whole_step(method, world):
    """Return what of a step on random views has no gradient."""
    step = torch.nn.parallel.DistributedDataParallel(method) if world > 1 else method
    images = [torch.randn(2, 3, 64, 64) for _ in range(method.num_views)]
    views = views_of(torch.arange(2)).take(range(method.num_views))
    losses = step(images, method.random_targets(images, views), mode='loss')
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    return without_gradient(method)


def exemplar_job(rank, world):
    rows, found = slice(rank * 4 // world, (rank + 1) * 4 // world), []
    for negatives in EXEMPLARS:
        torch.manual_seed(0)
        method = build_pretext('Exemplar', negatives=negatives)
        both = [part[rows].clone().requires_grad_() for part in vectors(4)]
        losses = method.objective(*both)
        losses['loss_exemplar'].backward()
        found.append(({name: value.item() for name, value in losses.items()},
                      torch.stack([part.grad for part in both], 1) / world))
    return found


def colour_job(rank, world):
    torch.manual_seed(0)
    rows = slice(rank * 4 // world, (rank + 1) * 4 // world)
    method, (logits, chroma, coloured) = build_pretext('Colorization'), colours(4)
    logits = logits[rows].clone().requires_grad_()
    loss = method.objective(logits, chroma[rows], coloured[rows])['loss_colour']
    loss.backward()
    return loss.item(), logits.grad / world, method.counts


def motion_job(rank, world):
    torch.manual_seed(0)
    rows = slice(rank * 4 // world, (rank + 1) * 4 // world)
    method, (logits, mask) = build_pretext('MotionSegmentation'), motion(4)
    logits = logits[rows].clone().requires_grad_()
    loss = method.objective(logits, mask[rows])['loss_motion']
    loss.backward()
    return loss.item(), logits.grad / world


def pretext_job(rank, world):
    missing = []
    for kind in ('RelativePosition', 'Exemplar', 'Colorization', 'MotionSegmentation'):
        torch.manual_seed(0)
        missing.append(whole_step(build_pretext(kind), world))
    return (exemplar_job(rank, world), colour_job(rank, world), missing,
            motion_job(rank, world))
