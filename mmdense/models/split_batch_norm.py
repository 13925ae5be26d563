"""BatchNorm over groups of a batch, so that one process has the statistics of several."""
from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmdense.mistakes import WrongValue


def largest_divisor(number: int, limit: int) -> int:
    """Return the largest divisor of ``number`` that is at most ``limit``."""
    return next(d for d in range(min(number, limit), 0, -1) if number % d == 0)


class SplitBatchNorm(_BatchNorm):
    """Normalises (B, C, …) in up to ``groups`` interleaved parts of the batch, each by itself.

    The stand-in for shuffled BatchNorm on one process: a key's statistics are then those of other
    images than its query's, and cannot tell which key belongs to which query (1911.05722,
    sec. 3.3). The number of groups is the largest divisor of B that leaves two samples per group;
    running statistics are the mean of the groups'. In eval mode it is a plain BatchNorm.
    """
    groups = 8

    def _check_input_dim(self, input: Tensor) -> None:
        if input.ndim < 2:
            raise WrongValue(f'expected (B, C, …), got shape {tuple(input.shape)}')

    def forward(self, input: Tensor) -> Tensor:
        groups = largest_divisor(len(input), min(self.groups, max(len(input) // 2, 1)))
        if not self.training or groups == 1:
            return super().forward(input)
        batch, channels, *space = input.shape
        grouped = input.reshape(batch // groups, groups * channels, *space)
        mean, var = self.running_mean.repeat(groups), self.running_var.repeat(groups)
        repeated = [None if p is None else p.repeat(groups) for p in (self.weight, self.bias)]
        out = F.batch_norm(grouped, mean, var, *repeated, True, self.momentum, self.eps)
        self.running_mean.copy_(mean.view(groups, channels).mean(0))
        self.running_var.copy_(var.view(groups, channels).mean(0))
        self.num_batches_tracked.add_(1)
        return out.view_as(input)


def split_batch_norm(module: nn.Module, groups: int = 8) -> nn.Module:
    """Replace every BatchNorm in ``module`` by a :class:`SplitBatchNorm` of the same weights."""
    if isinstance(module, _BatchNorm) and module.track_running_stats:
        split = SplitBatchNorm(module.num_features, module.eps, module.momentum, module.affine)
        split.load_state_dict(module.state_dict())
        split.groups = groups
        return split.train(module.training)
    for name, child in module.named_children():
        setattr(module, name, split_batch_norm(child, groups))
    return module
