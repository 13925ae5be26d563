"""Rows of all processes with gradient: what losses among the batch of all processes need."""
from __future__ import annotations

import torch
from mmengine.dist import all_reduce, get_rank, get_world_size
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..queue import gather_rows


class GatherRows(torch.autograd.Function):
    """The gather; its backward sums what all processes say about this process's rows.

    An all-reduce, which every backend has (gloo has no reduce-scatter on all versions).
    """

    @staticmethod
    def forward(ctx, rows: Tensor) -> Tensor:
        ctx.length = len(rows)
        return gather_rows(rows)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> Tensor:
        grad = grad.clone(memory_format=torch.contiguous_format)
        all_reduce(grad)
        return grad[get_rank() * ctx.length:][:ctx.length]


def gather_with_gradient(rows: Tensor) -> Tensor:
    """Return the (N, …) rows of all processes, in order of rank, as (W N, …).

    The gradient to a process's rows is the sum over all processes' losses, so that after DDP's
    averaging it is that of the mean of the losses. All processes must have the same N, and all
    or none go backward through it.
    """
    return rows if get_world_size() == 1 else GatherRows.apply(rows)
