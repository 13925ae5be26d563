"""How often each class is taken for which, counted while a method trains."""
from __future__ import annotations

import torch
from torch import Tensor, nn


class Confusion(nn.Module):
    """Counts (K, K), rows the truth and columns what was predicted, until somebody resets them.

    Of this process; not saved. ``mmdense.ConfusionHook`` writes them to the log.

    Args:
        names: of the K classes.
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__()
        self.names = names
        self.register_buffer('counts', torch.zeros(len(names), len(names), dtype=torch.long),
                             persistent=False)

    @torch.no_grad()
    def add(self, truth: Tensor, predicted: Tensor, valid: Tensor) -> Tensor:
        """Count, and return the share that is right, 0 where nothing is valid.

        Args:
            truth, predicted: (N,) int64 classes.
            valid: (N,) bool, which of them count.
        """
        classes = len(self.names)
        self.counts.view(-1).index_add_(0, truth.where(valid, 0) * classes + predicted,
                                        valid.long())
        right = (truth == predicted) & valid
        return right.sum() / valid.sum().clamp_min(1)

    def text(self, counts: Tensor) -> str:
        """Return counts (K, K) as lines of a table, in per cent of each row."""
        share = 100 * counts / counts.sum(1, keepdim=True).clamp_min(1)
        wide = max(6, *map(len, self.names)) + 1
        head = ' ' * wide + ''.join(name.rjust(wide) for name in self.names)
        rows = [name.rjust(wide) + ''.join(f'{value:{wide}.1f}' for value in row)
                for name, row in zip(self.names, share.tolist(), strict=True)]
        return '\n'.join(['truth (rows), predicted (columns), % of each row', head, *rows])
