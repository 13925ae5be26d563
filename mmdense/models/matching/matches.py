"""What every matcher answers."""
from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass
class Matches:
    """For each of N cells of the query view, its cell in the key view.

    Attributes:
        index: (B, N) int64, the matching cell's number in the key's map, row by row.
        valid: (B, N) bool, False where a cell has no counterpart (its index is then arbitrary).
    """
    index: Tensor
    valid: Tensor

    def take(self, cells: Tensor) -> Tensor:
        """Return the matched columns of ``cells`` (B, D, M) as (B, D, N)."""
        return cells.gather(2, self.index[:, None].expand(-1, cells.shape[1], -1))
