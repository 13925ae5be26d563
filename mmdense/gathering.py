"""Rows of all processes: as many of each, or any number of each, or with gradient."""
from __future__ import annotations

import torch
import torch.distributed as dist
from mmengine.dist import all_gather, all_gather_object, get_world_size
from torch import Tensor
from torch.autograd.function import once_differentiable


def gather_rows(rows: Tensor) -> Tensor:
    """Return the (N, …) rows of all processes, in order of rank, as (W N, …); no gradient."""
    return rows if get_world_size() == 1 else torch.cat(all_gather(rows.contiguous()))


def share_of_rows(valid: Tensor) -> Tensor:
    """Return this process's number of valid rows over the mean of all processes', a scalar.

    Times it, a mean over the own rows is, averaged over processes, the mean over the rows of all.

    Args:
        valid: (N,) bool, which rows count here.
    """
    count = valid.sum().view(1).float()
    return count.squeeze() / gather_rows(count).mean().clamp_min(1e-6)


def gather_unequal_rows(rows: Tensor | None, device: torch.device) -> Tensor:
    """Concatenate the rows of all processes; each has any number of them, or None."""
    if get_world_size() == 1:
        return rows
    shapes = all_gather_object(None if rows is None else (tuple(rows.shape), rows.dtype))
    known = [shape for shape in shapes if shape is not None]
    (_, *tail), dtype = known[0]
    counts = [0 if shape is None else shape[0][0] for shape in shapes]
    padded = torch.zeros(max(counts), *tail, dtype=dtype, device=device)
    if rows is not None:
        padded[:len(rows)] = rows
    return torch.cat([part[:count] for part, count in zip(all_gather(padded), counts,
                                                          strict=True)])


class GatherRows(torch.autograd.Function):
    """The gather; its backward sums what all processes say about this process's rows.

    A reduce-scatter: each process gets the sum of its own rows, not that of all.
    """

    @staticmethod
    def forward(ctx, rows: Tensor) -> Tensor:
        ctx.length = len(rows)
        return gather_rows(rows)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> Tensor:
        own = grad.new_empty(ctx.length, *grad.shape[1:])
        dist.reduce_scatter_tensor(own, grad.contiguous())
        return own


def gather_with_gradient(rows: Tensor) -> Tensor:
    """Return the (N, …) rows of all processes, in order of rank, as (W N, …).

    The gradient to a process's rows is the sum over all processes' losses, so that after DDP's
    averaging it is that of the mean of the losses. All processes must have the same N, and all
    or none go backward through it.
    """
    return rows if get_world_size() == 1 else GatherRows.apply(rows)
