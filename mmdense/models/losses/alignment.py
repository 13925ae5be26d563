"""How alike two networks see the cells of the same images, whatever their channels are."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmdense.mistakes import WrongValue
from mmdense.registry import MODELS


def linear_cka(x: Tensor, y: Tensor, eps: float = 1e-12) -> Tensor:
    """Return the linear centred kernel alignment of rows, (...,), from 0 to 1.

    ``|Y' X|^2 / (|X' X| |Y' Y|)`` with centred columns and Frobenius norms (Kornblith et al.,
    1905.00414, eq. 4). It does not change with rotation and scale of either. Rows that are all the
    same give 0. In float32 also under autocast; the smaller of the N x N and the C x D products
    is made.

    Args:
        x, y: (..., N, C) and (..., N, D), the same N rows.
        eps: added to the denominator.

    Raises:
        ValueError: other numbers of rows.
    """
    if x.shape[:-1] != y.shape[:-1]:
        raise WrongValue(f'linear_cka of {tuple(x.shape)} and {tuple(y.shape)}: expected the same '
                         'rows of both')
    with torch.autocast(x.device.type, enabled=False):
        dtype = torch.promote_types(torch.promote_types(x.dtype, y.dtype), torch.float32)
        x, y = (rows.to(dtype) - rows.to(dtype).mean(-2, keepdim=True) for rows in (x, y))
        if x.shape[-2] <= min(x.shape[-1], y.shape[-1]):
            k, m = x @ x.transpose(-1, -2), y @ y.transpose(-1, -2)
            alike, own, other = (k * m).sum((-2, -1)), k.square(), m.square()
        else:
            alike = (y.transpose(-1, -2) @ x).square().sum((-2, -1))
            own, other = ((rows.transpose(-1, -2) @ rows).square() for rows in (x, y))
        return alike / ((own.sum((-2, -1)) * other.sum((-2, -1))).clamp_min(eps ** 2).sqrt() + eps)


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


def kernel_alignment_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Return 1 minus the mean over images of :func:`linear_cka` of an image's cells.

    Args:
        student, teacher: maps (B, C, h, w) and (B, D, h, w).
    """
    return 1 - linear_cka(*cells_of(student, teacher)).mean()


def gram_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the mean squared difference of the cosines of an image's pairs of cells.

    DINOv3's Gram anchoring (2508.10104), as a mean over the N x N pairs and images, not a sum.

    Args:
        student, teacher: maps (B, C, h, w) and (B, D, h, w).
    """
    with torch.autocast(student.device.type, enabled=False):
        x, y = (F.normalize(cells, dim=2) for cells in cells_of(student, teacher))
        return (x @ x.transpose(1, 2) - y @ y.transpose(1, 2)).square().mean()


def cell_cosine_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Return 1 minus the mean cosine of the cells of two maps (B, C, h, w) at the same place."""
    with torch.autocast(student.device.type, enabled=False):
        return 1 - F.cosine_similarity(*cells_of(student, teacher, True), dim=2).mean()


@MODELS.register_module()
class KernelAlignmentLoss(nn.Module):
    """:func:`kernel_alignment_loss` of two maps; their channels may differ."""

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Return the loss, a scalar, of maps (B, C, h, w) and (B, D, h, w)."""
        return kernel_alignment_loss(student, teacher)


@MODELS.register_module()
class GramLoss(nn.Module):
    """:func:`gram_loss` of two maps; their channels may differ."""

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Return the loss, a scalar, of maps (B, C, h, w) and (B, D, h, w)."""
        return gram_loss(student, teacher)


@MODELS.register_module()
class CellCosineLoss(nn.Module):
    """:func:`cell_cosine_loss` of two maps."""

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Return the loss, a scalar, of maps (B, C, h, w)."""
        return cell_cosine_loss(student, teacher)
