"""What several tasks leave in the trunk that they share: gradients, and BatchNorm's statistics."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from mmengine.dist import all_reduce, get_world_size
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class GradientBalance(nn.Module):
    """Shares of tasks, so that their gradients are of one length where they enter the trunk.

    The length of a task's gradient at the maps that it read, before its share, is noted in each
    backward, over all processes, as a mean over past steps. The share of a task is the mean length
    of all tasks over its own. A task without a gradient so far has a share of 1.

    Args:
        count: of tasks.
        momentum: of the mean, in the papers' sense.
    """

    def __init__(self, count: int, momentum: float = 0.9) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer('squares', torch.zeros(count))      # of the last backward
        self.register_buffer('lengths', torch.zeros(count))

    @torch.no_grad()
    def shares(self) -> Tensor:
        """Return the shares (T,); while training, take in the last backward first."""
        if self.training:
            squares = self.squares.clone()
            all_reduce(squares)
            new = squares.sqrt() / get_world_size()
            mixed = torch.where(self.lengths > 0, self.momentum * self.lengths
                                + (1 - self.momentum) * new, new)
            # not those of a step that mixed precision skips
            known = (new > 0) & new.isfinite()
            self.lengths.copy_(torch.where(known, mixed, self.lengths))
            self.squares.zero_()
        known = self.lengths > 0
        mean = self.lengths.sum() / known.sum().clamp_min(1)
        return torch.where(known, mean / self.lengths.clamp_min(1e-12), 1.0)

    def watch(self, number: int, share: Tensor) -> Callable:
        """Return a forward hook that notes the gradient of a task's maps.

        Args:
            number: of the task.
            share: what its losses are multiplied by, a scalar above 0.
        """
        def note(grad: Tensor) -> None:
            self.squares[number] += (grad.float() / share).square().sum()

        def hook(module: nn.Module, args: tuple, out: Tensor | Sequence[Tensor]) -> None:
            for maps in [out] if isinstance(out, Tensor) else out:
                if isinstance(maps, Tensor) and maps.requires_grad:
                    maps.register_hook(note)
        return hook


@contextmanager
def kept_statistics(net: nn.Module) -> Iterator[None]:
    """Leave the running statistics of a network's BatchNorm as they are."""
    norms = [(module, module.momentum) for module in net.modules()
             if isinstance(module, _BatchNorm)]
    try:
        for module, _ in norms:
            module.momentum = 0.0
        yield
    finally:
        for module, momentum in norms:
            module.momentum = momentum
