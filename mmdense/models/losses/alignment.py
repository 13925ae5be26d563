"""How alike two networks see the cells of the same images, whatever their channels are."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmdense.gathering import gather_rows, share_of_rows
from mmdense.mistakes import WrongValue
from mmdense.registry import MODELS


def linear_cka(x: Tensor, y: Tensor, valid: Tensor | None = None, eps: float = 1e-12) -> Tensor:
    """Return the linear centred kernel alignment of rows, (...,), from 0 to 1.

    ``|Y' X|^2 / (|X' X| |Y' Y|)`` with centred columns and Frobenius norms (Kornblith et al.,
    1905.00414, eq. 4). It does not change with rotation and scale of either. Rows that are all the
    same give 0. In float32 also under autocast; the smaller of the N x N and the C x D products
    is made.

    Args:
        x, y: (..., N, C) and (..., N, D), the same N rows.
        valid: (..., N) bool, which rows count; the others may hold anything. None: all.
        eps: added to the denominator.

    Raises:
        ValueError: other numbers of rows.
    """
    if x.shape[:-1] != y.shape[:-1]:
        raise WrongValue(f'linear_cka of {tuple(x.shape)} and {tuple(y.shape)}: expected the same '
                         'rows of both')
    with torch.autocast(x.device.type, enabled=False):
        dtype = torch.promote_types(torch.promote_types(x.dtype, y.dtype), torch.float32)
        x, y = (centred(rows.to(dtype), valid) for rows in (x, y))
        if x.shape[-2] <= min(x.shape[-1], y.shape[-1]):
            k, m = x @ x.transpose(-1, -2), y @ y.transpose(-1, -2)
            alike, own, other = (k * m).sum((-2, -1)), k.square(), m.square()
        else:
            alike = (y.transpose(-1, -2) @ x).square().sum((-2, -1))
            own, other = ((rows.transpose(-1, -2) @ rows).square() for rows in (x, y))
        return alike / ((own.sum((-2, -1)) * other.sum((-2, -1))).clamp_min(eps ** 2).sqrt() + eps)


def centred(rows: Tensor, valid: Tensor | None) -> Tensor:
    """Return rows (..., N, C) less the mean of those that count, (..., N); the others are 0."""
    if valid is None:
        return rows - rows.mean(-2, keepdim=True)
    counts = valid[..., None]
    rows = rows.where(counts, 0)
    mean = rows.sum(-2, keepdim=True) / counts.sum(-2, keepdim=True).clamp_min(1)
    return (rows - mean).where(counts, 0)


def cells_of(student: Tensor, teacher: Tensor, same_channels: bool = False
             ) -> tuple[Tensor, Tensor]:
    """Return the cells (B, N, C) of two maps (B, C, h, w) of the same images, in float32 at least.

    Raises:
        ValueError: images or sides differ, or channels where they are compared.
    """
    wrong = student.shape[0] != teacher.shape[0] or student.shape[2:] != teacher.shape[2:]
    if wrong or (same_channels and student.shape[1] != teacher.shape[1]):
        raise WrongValue(f'maps of {tuple(student.shape)} and {tuple(teacher.shape)} are compared '
                         'cell by cell: expected the same images and sides'
                         + (' and channels' if same_channels else ''))
    return tuple(maps.flatten(2).transpose(1, 2).to(torch.promote_types(maps.dtype, torch.float32))
                 for maps in (student, teacher))


def mean_of(each: Tensor, counts: Tensor | None) -> Tensor:
    """Return the mean of values of any shape over those that count, of all processes; 0 of none.

    Args:
        counts: bool, as ``each``; None: all, of which all processes have as many.
    """
    if counts is None:
        return each.mean()
    return each.where(counts, 0).sum() / counts.sum().clamp_min(1) * share_of_rows(counts.flatten())


def kernel_alignment_loss(student: Tensor, teacher: Tensor, valid: Tensor | None = None) -> Tensor:
    """Return 1 minus the mean over images of :func:`linear_cka` of an image's cells.

    Args:
        student, teacher: maps (B, C, h, w) and (B, D, h, w).
        valid: (B, h w) bool, which cells both maps show; None: all. Images with fewer than two of
            them do not count.
    """
    alike = linear_cka(*cells_of(student, teacher), valid)
    return mean_of(1 - alike, None if valid is None else valid.sum(1) > 1)


def gram_loss(student: Tensor, teacher: Tensor, valid: Tensor | None = None) -> Tensor:
    """Return the mean squared difference of the cosines of an image's pairs of cells.

    DINOv3's Gram anchoring (2508.10104), as a mean over the N x N pairs and images, not a sum.

    Args:
        student, teacher: maps (B, C, h, w) and (B, D, h, w).
        valid: (B, h w) bool, which cells both maps show; None: all. Images with none of them do
            not count.
    """
    with torch.autocast(student.device.type, enabled=False):
        x, y = cells_of(student, teacher)
        if valid is not None:
            x, y = (rows.where(valid[..., None], 1) for rows in (x, y))
        x, y = (F.normalize(rows, dim=2) for rows in (x, y))
        apart = (x @ x.transpose(1, 2) - y @ y.transpose(1, 2)).square()
        if valid is None:
            return apart.mean()
        pairs = valid[:, :, None] & valid[:, None]
        each = apart.where(pairs, 0).sum((1, 2)) / pairs.sum((1, 2)).clamp_min(1)
        return mean_of(each, valid.any(1))


def cell_cosine_loss(student: Tensor, teacher: Tensor, valid: Tensor | None = None) -> Tensor:
    """Return 1 minus the mean cosine of the cells of two maps (B, C, h, w) at the same place.

    Args:
        valid: (B, h w) bool, which cells both maps show; None: all.
    """
    with torch.autocast(student.device.type, enabled=False):
        x, y = cells_of(student, teacher, True)
        if valid is not None:
            x, y = (rows.where(valid[..., None], 1) for rows in (x, y))
        return mean_of(1 - F.cosine_similarity(x, y, dim=2), valid)


@torch.no_grad()
def standardised(teacher: Tensor, valid: Tensor | None = None, eps: float = 1e-6) -> Tensor:
    """Return a map (B, C, h, w) each of whose channels has mean 0 and variance 1.

    Over the cells of the batch of all processes, without gradient: a frozen teacher's channels may
    differ in scale by orders, and few large ones would be all that a cosine sees.

    Args:
        valid: (B, h w) bool, which cells count; the others become 0. None: all.
        eps: added to the variance.
    """
    rows = teacher.flatten(2).to(torch.promote_types(teacher.dtype, torch.float32))
    counts = torch.ones_like(rows[:, :1], dtype=torch.bool) if valid is None else valid[:, None]
    rows = rows.where(counts, 0)
    number = gather_rows(counts.sum().view(1)).sum().clamp_min(1)
    mean = gather_rows(rows.sum((0, 2))[None]).sum(0)[:, None] / number
    rows = (rows - mean).where(counts, 0)
    variance = gather_rows(rows.square().sum((0, 2))[None]).sum(0)[:, None] / number
    return (rows / (variance + eps).sqrt()).view(teacher.shape)


def standardised_cosine_loss(student: Tensor, teacher: Tensor, valid: Tensor | None = None
                             ) -> Tensor:
    """Return :func:`cell_cosine_loss` to the teacher's :func:`standardised` map.

    Args:
        student, teacher: maps (B, C, h, w).
        valid: (B, h w) bool, which cells both maps show; None: all.
    """
    return cell_cosine_loss(student, standardised(teacher, valid), valid)


@MODELS.register_module()
class KernelAlignmentLoss(nn.Module):
    """:func:`kernel_alignment_loss` of two maps; their channels may differ."""

    def forward(self, student: Tensor, teacher: Tensor, valid: Tensor | None = None) -> Tensor:
        """Return the loss, a scalar, of maps (B, C, h, w), (B, D, h, w), cells (B, h w)."""
        return kernel_alignment_loss(student, teacher, valid)


@MODELS.register_module()
class GramLoss(nn.Module):
    """:func:`gram_loss` of two maps; their channels may differ."""

    def forward(self, student: Tensor, teacher: Tensor, valid: Tensor | None = None) -> Tensor:
        """Return the loss, a scalar, of maps (B, C, h, w), (B, D, h, w), cells (B, h w)."""
        return gram_loss(student, teacher, valid)


@MODELS.register_module()
class CellCosineLoss(nn.Module):
    """:func:`cell_cosine_loss` of two maps."""

    def forward(self, student: Tensor, teacher: Tensor, valid: Tensor | None = None) -> Tensor:
        """Return the loss, a scalar, of maps (B, C, h, w) and valid cells (B, h w)."""
        return cell_cosine_loss(student, teacher, valid)


@MODELS.register_module()
class StandardisedCosineLoss(nn.Module):
    """:func:`standardised_cosine_loss` of two maps."""

    def forward(self, student: Tensor, teacher: Tensor, valid: Tensor | None = None) -> Tensor:
        """Return the loss, a scalar, of maps (B, C, h, w) and valid cells (B, h w)."""
        return standardised_cosine_loss(student, teacher, valid)
