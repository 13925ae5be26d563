"""Rows of all processes with gradient: what losses among the batch of all processes need."""
from __future__ import annotations

import torch
import torch.distributed as dist
from mmengine.dist import get_world_size
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..queue import gather_rows


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
