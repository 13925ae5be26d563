"""How much of what features (or labels) say is only the place of the cell in the image."""
from __future__ import annotations

import math
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor

from mmdense.models.losses.place import share_of_sums

#: places per side that are told apart: of larger maps so many evenly chosen cells are looked at
PLACES = 16


class PlaceShare:
    """Share of the variance of cells' vectors that the mean map over the images explains.

    See :func:`~mmdense.models.losses.place.share_of_sums`. Only sums are kept, so images may come
    one by one.

    Args:
        device: of the cells.
    """

    def __init__(self, device: torch.device | str = 'cpu') -> None:
        self.counts = torch.zeros(PLACES ** 2, dtype=torch.float64, device=device)
        self.sums: Tensor | None = None                      # (places, C)
        # sum of squares, of images' squared sums over their counts, number of images
        self.totals = torch.zeros(3, dtype=torch.float64, device=device)

    def add(self, maps: Tensor, valid: Tensor | None = None) -> None:
        """Take the cells of images.

        Args:
            maps: (B, C, h, w).
            valid: (B, h, w) bool, which cells count; by default all.
        """
        rows, columns = (torch.linspace(0, side - 1, min(side, PLACES)).round().long()
                         for side in maps.shape[2:])
        across, down = (torch.linspace(0, PLACES - 1, len(cells)).round().long()
                        for cells in (columns, rows))
        places = (down[:, None] * PLACES + across).flatten().to(maps.device)
        vectors = maps.double()[:, :, rows][..., columns].flatten(2).transpose(1, 2)   # (B, n, C)
        weights = vectors.new_ones(vectors.shape[:2]) if valid is None else \
            valid[:, rows][..., columns].flatten(1).double()
        vectors = vectors.where(weights[..., None] > 0, 0)
        if self.sums is None:
            self.sums = vectors.new_zeros(len(self.counts), vectors.shape[2])
        self.counts.index_add_(0, places, weights.sum(0))
        self.sums.index_add_(0, places, vectors.sum(0))
        own = weights.sum(1)
        self.totals += torch.stack([
            vectors.square().sum(), (vectors.sum(1).square().sum(1) / own.clamp_min(1)).sum(),
            (own > 0).sum()])

    def compute(self) -> float:
        """Return the share, at most 1; nan of one image, one place, equal or non-finite vectors."""
        sums = self.sums
        cells, images = self.counts.sum(), self.totals[2]
        places = (self.counts > 0).sum()
        if sums is None or images < 2 or places < 2 or cells - places - images < 0:
            return math.nan
        total = self.totals[0] - sums.sum(0).square().sum() / cells
        if not total > 1e-9 * self.totals[0]:          # nan is not above anything
            return math.nan
        return float(share_of_sums(sums, self.counts, *self.totals))


def label_cells(labels: Tensor, num_classes: int, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return what the cells of a label map hold: shares (1, K, h, w), and which hold any label.

    Args:
        labels: (H, W), 255 is ignored.
        num_classes: K.
        size: (h, w), the cells.
    """
    known = (labels >= 0) & (labels < num_classes)
    shown = F.one_hot(labels.long().where(known, 0), num_classes) * known[..., None]
    shares = F.adaptive_avg_pool2d(shown.permute(2, 0, 1)[None].float(), size)
    amount = shares.sum(1, keepdim=True)
    return shares / amount.clamp_min(1e-9), amount[:, 0] > 0


def feature_place_share(maps: Iterable[Tensor]) -> float:
    """Return the share of the variance of unit features that the cell's place explains.

    Args:
        maps: of each image (C, h, w).
    """
    share = None
    for one in maps:
        share = share or PlaceShare(one.device)
        share.add(F.normalize(one[None].float(), dim=1))
    return math.nan if share is None else share.compute()


def label_place_share(labels: Iterable[Tensor], sizes: Iterable[tuple[int, int]],
                      num_classes: int) -> float:
    """Return the share of the variance of labels that the cell's place explains.

    A cell's vector is its shares of the classes; a cell without a label does not count.

    Args:
        labels: of each image (H, W), 255 is ignored.
        sizes: (h, w) of each image's map.
        num_classes: K.
    """
    share = PlaceShare()
    for one, size in zip(labels, sizes, strict=True):
        share.add(*label_cells(one, num_classes, size))
    return share.compute()
