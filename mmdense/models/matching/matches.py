"""What every matcher answers."""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mmdense.mistakes import WrongValue


def draw_cells(valid: Tensor, count: int) -> Tensor:
    """Draw cells of each image without replacement, those that are ``valid`` first.

    Uniformly, from torch's global generator of the device, which ``mmdense.IterationSeedHook``
    sets from seed, iteration and rank.

    Args:
        valid: (B, N) bool.
        count: how many; of images with fewer cells all.

    Returns:
        (B, min(count, N)) int64.
    """
    chances = torch.rand(valid.shape, device=valid.device) + valid
    return chances.topk(min(count, valid.shape[1]), dim=1).indices


@dataclass
class Matches:
    """For each of N cells of the query view, its cell in the key view, or a mixture of its M cells.

    A matcher is called with the maps of query (B, C, h, w) and key (B, C, h', w') and the geometry
    of both (`Views`), and takes of these what it needs.

    Attributes:
        valid: (B, N) bool, False where a cell has no counterpart (what stands for it is then
            arbitrary, and whoever uses the matches leaves it out).
        index: (B, N) int64, the matching cell's number in the key's map, row by row; or None.
        weights: (B, N, M) float, the share of each of the key's cells; or None.

    Raises:
        ValueError: both or neither of ``index`` and ``weights``, or other cells than in ``valid``.
    """
    valid: Tensor
    index: Tensor | None = None
    weights: Tensor | None = None

    def __post_init__(self) -> None:
        if (self.index is None) == (self.weights is None):
            raise WrongValue('Matches needs index or weights, one of them')
        cells = self.weights.shape[:2] if self.index is None else self.index.shape
        if cells != self.valid.shape:
            raise WrongValue(f'Matches of {tuple(cells)} cells (B, N), but valid is '
                             f'{tuple(self.valid.shape)}')

    def take(self, cells: Tensor) -> Tensor:
        """Return what matches, of the key's ``cells`` (B, D, M), as (B, D, N), in their type."""
        if self.index is None:
            with torch.autocast(cells.device.type, enabled=False):
                return cells @ self.weights.transpose(1, 2).to(cells.dtype)
        return cells.gather(2, self.index[:, None].expand(-1, cells.shape[1], -1))

    def choose(self, drawn: Tensor) -> Matches:
        """Return the matches of these query cells (B, n) alone."""
        valid = self.valid.gather(1, drawn)
        if self.index is not None:
            return Matches(valid, self.index.gather(1, drawn))
        wanted = drawn[..., None].expand(-1, -1, self.weights.shape[2])
        return Matches(valid, weights=self.weights.gather(1, wanted))
