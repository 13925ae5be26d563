"""Jobs of the tests of distillation, each run as ``job(rank, world)``."""
from __future__ import annotations

from pathlib import Path
from tempfile import gettempdir

import torch
from mmengine.registry import MODELS, DefaultScope
from references.tiny import BACKBONE, views_of

import mmdense.models  # noqa: F401
from jobs.densecl import without_gradient
from jobs.location import maps as view_maps
from jobs.location import views_apart
from mmdense.structures import Views

LOSSES = ('StandardisedCosineLoss', 'CellCosineLoss', 'KernelAlignmentLoss', 'GramLoss')
TEACHER = {**BACKBONE, 'out_indices': (2, 3), 'strides': (1, 2, 2, 1)}


def weights(seed: int = 5) -> str:
    """Return the file of a small teacher, made from a seed."""
    path = Path(gettempdir(), f'mmdense_teacher_{seed}_{torch.__version__}.pth')
    if not path.is_file():
        with torch.random.fork_rng(), DefaultScope.overwrite_default_scope('mmseg'):
            torch.manual_seed(seed)
            teacher = MODELS.build(TEACHER)
            teacher.init_weights()
        part = path.with_suffix(f'.{id(teacher)}')
        torch.save(teacher.state_dict(), part)
        part.rename(path)
    return str(path)


def teacher(**changes) -> dict:
    """Return the arguments of a small teacher of 64 channels."""
    return {**dict(backbone=TEACHER, checkpoint=weights(), size=64, name='small',
                   licence='Apache-2.0'), **changes}


def build_distill(loss: str = 'StandardisedCosineLoss', **changes):
    """A small student whose C5 learns from a small teacher's."""
    cfg = dict(type='mmdense.DenseDistill', backbone=BACKBONE, teacher=teacher(),
               loss=dict(type=f'mmdense.{loss}'),
               projector=dict(type='mmdense.Projector', num_layers=1))
    with DefaultScope.overwrite_default_scope('mmseg'):
        return MODELS.build({**cfg, **changes})


def maps(batch: int, channels: int = 5):
    """Maps of student and teacher, boxes and flips; of image 1 the teacher sees another part."""
    g = torch.Generator().manual_seed(3)
    student = torch.randn(batch, 5, 3, 4, generator=g)
    taught = torch.randn(batch, channels, 4, 5, generator=g)
    asks = torch.tensor([[8., 4, 40, 36]]).repeat(batch, 1) + torch.arange(batch)[:, None]
    sees = torch.tensor([[0., 0, 37, 30]]).repeat(batch, 1)
    sees[1:2] = torch.tensor([[90., 90, 99, 99]])
    flips = torch.arange(batch) % 2 == 0, torch.arange(batch) % 3 == 2
    return student, taught, (asks, sees), flips


def distill_job(rank, world):
    """Each loss and its gradient; what of a whole step has no gradient."""
    rows, found = slice(rank * 4 // world, (rank + 1) * 4 // world), []
    student, taught, boxes, flips = maps(4)
    for loss in LOSSES:
        torch.manual_seed(0)
        own = student[rows].clone().requires_grad_()
        got = build_distill(loss).objective(
            [own], [taught[rows]], tuple(b[rows] for b in boxes), tuple(f[rows] for f in flips))
        got['loss_distill'].backward()
        found.append((got['loss_distill'].item(), got['outside'].item(), own.grad / world))
    torch.manual_seed(0)
    method = build_distill()
    step = torch.nn.parallel.DistributedDataParallel(method) if world > 1 else method
    step([torch.randn(2, 3, 64, 64) for _ in range(2)], views_of(torch.arange(2)),
         mode='loss')['loss_distill'].backward()
    return found, without_gradient(method)


def build_paka(**changes):
    """PaKA on C4 of a small network, of 4 x 4 cells at 64 pixels."""
    cfg = dict(type='mmdense.PaKA', symmetric=True, twin=dict(momentum=0.9, bn='plain'),
               backbone={**BACKBONE, 'strides': (1, 2, 2, 1)})
    with DefaultScope.overwrite_default_scope('mmseg'):
        return MODELS.build({**cfg, **changes})


def paka_job(rank, world):
    """Loss, share and gradient of a part of four images; what of a step has no gradient."""
    rows = slice(rank * 4 // world, (rank + 1) * 4 // world)
    (query, key), _ = view_maps(4, seed=1)
    views = views_apart(4)
    part = Views(views.boxes[:, rows], views.flips[:, rows], views.index[rows])
    own = query[rows].clone().requires_grad_()
    losses = build_paka().objective((own,), (key[rows],), part)
    losses['loss_alignment'].backward()
    torch.manual_seed(0)
    method = build_paka()
    step = torch.nn.parallel.DistributedDataParallel(method) if world > 1 else method
    step([torch.randn(2, 3, 64, 64) for _ in range(2)], views_of(torch.arange(2)),
         mode='loss')['loss_alignment'].backward()
    return (losses['loss_alignment'].item(), losses['matched'].item(), own.grad / world,
            without_gradient(method))
