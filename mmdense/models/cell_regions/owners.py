"""What every source of regions returns: which region owns each cell, and region means."""
from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..region_pooling import masked_pool, weighted_pool


@dataclass
class CellRegions:
    """Regions of the h x w cells of one view of B images.

    Attributes:
        cells: (B, h, w) int64, the region that each cell belongs to; 0 is nobody's.
        weights: None, or (B, K, h, w) float of at least 0: how much each cell belongs to each of
            the regions 1 … K, among which ``cells`` names the largest.
    """
    cells: Tensor
    weights: Tensor | None = None

    def pool(self, features: Tensor, ids: Tensor) -> Tensor:
        """Return the mean feature (B, R, C) of each id's cells, 0 for id 0 and for one without.

        Args:
            features: (B, C, h, w); gets a gradient, and so do soft weights.
            ids: (B, R) int64, in any order, also several times.
        """
        if self.weights is None:
            return masked_pool(features, self.cells, ids)[0]
        rows = (ids - 1).clamp_min(0)[:, :, None, None]
        chosen = self.weights.gather(1, rows.expand(-1, -1, *self.weights.shape[2:]))
        return weighted_pool(features, chosen * (ids != 0)[:, :, None, None])[0]
