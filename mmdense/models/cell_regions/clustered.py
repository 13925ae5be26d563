"""Regions that the network finds itself: clusters of its features of the whole image."""
from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmdense.mistakes import WrongValue
from mmdense.registry import MODELS
from mmdense.structures import Views

from ..matching.geometry import cell_centres, cell_coordinates
from .owners import CellRegions


@torch.no_grad()
def cluster_cells(maps: Tensor, clusters: int, iterations: int = 10) -> Tensor:
    """Return (B, h, w) int64 from 1: k-means of each image's cells by cosine, all images at once.

    Starts from cells drawn from torch's global generator, each once. A cluster that loses all its
    cells keeps its centre. Of equally near centres the first wins. In float32, also under autocast.

    Args:
        maps: (B, C, h, w).
        clusters: k; at most as many as there are cells.
        iterations: rounds of assignment and means.

    Raises:
        ValueError: fewer than one cluster or iteration.
    """
    if min(clusters, iterations) < 1:
        raise WrongValue(f'{clusters} clusters, {iterations} iterations: expected at least one')
    batch, channels, h, w = maps.shape
    drawn = torch.rand(batch, h * w, device=maps.device).topk(min(clusters, h * w), dim=1).indices
    with torch.autocast(maps.device.type, enabled=False):
        cells = F.normalize(maps.detach().float().flatten(2).transpose(1, 2), dim=2)     # (B, N, C)
        centres = cells.gather(1, drawn[:, :, None].expand(-1, -1, channels))
        owner = torch.bmm(cells, centres.transpose(1, 2)).argmax(2)
        for _ in range(iterations - 1):
            index = owner[:, :, None].expand(-1, -1, channels)
            sums = torch.zeros_like(centres).scatter_add_(1, index, cells)
            lost = sums.abs().sum(2, keepdim=True) == 0
            centres = torch.where(lost, centres, F.normalize(sums, dim=2))
            owner = torch.bmm(cells, centres.transpose(1, 2)).argmax(2)
    return owner.view(batch, h, w) + 1


def carry_cells(cells: Tensor, source: tuple[Tensor, Tensor], view: tuple[Tensor, Tensor], h: int,
                w: int) -> Tensor:
    """Return the region (B, h, w) that each cell of a view has in another view of its image.

    A cell takes the id of the source's cell that holds its centre; 0 where none does.

    Args:
        cells: (B, h', w') int64, ids of the source's cells.
        source, view: boxes (B, 4) and flips (B,) of the two.
    """
    height, width = cells.shape[1:]
    centres = cell_centres(*view, h, w)
    column, row = cell_coordinates(centres, *source, height, width).add(0.5).floor().unbind(2)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    at = (row.clamp(0, height - 1) * width + column.clamp(0, width - 1)).long()
    return (cells.flatten(1).gather(1, at) * inside).view(-1, h, w)


@MODELS.register_module()
class ClusteredRegions(nn.Module):
    """Clusters of the features of a third view, the whole image, carried into the first two.

    What Odin (Henaff et al., ECCV 2022, arXiv 2203.08777) does instead of Felzenszwalb's regions.
    The third view is without changes of colour, and both views get their ids from it by geometry:
    clusters that each view found for itself would have nothing to do with each other. Nothing is
    differentiated. Cost: one more image through the network without gradient, and k-means, which
    is k x cells x channels x iterations multiply-adds an image.

    Args:
        clusters: k, or (low, high): drawn in each step between these, both included.
        iterations: of k-means.

    Raises:
        ValueError: a range that is none; when called, no third view.
    """
    whole_image = True

    def __init__(self, clusters: int | Sequence[int] = (4, 16), iterations: int = 10) -> None:
        super().__init__()
        low, high = (clusters, clusters) if isinstance(clusters, int) else clusters
        if not 1 <= low <= high or iterations < 1:
            raise WrongValue(f'ClusteredRegions: clusters={clusters}, iterations={iterations}; '
                             'expected a number, or (low, high), of at least 1')
        self.low, self.high, self.iterations = low, high, iterations

    @torch.no_grad()
    def forward(self, maps: list[Tensor], whole: Tensor | None, views: Views) -> list[CellRegions]:
        """Return the regions of each view.

        Args:
            maps: (B, C, h, w) of each view, for its size.
            whole: (B, C, h', w') of the whole image.
            views: geometry of the views, and last that of the whole image.
        """
        # on the CPU's generator, which the GPU does not have to wait for
        clusters = int(torch.randint(self.low, self.high + 1, ()))
        cells = cluster_cells(whole, clusters, self.iterations)
        places = list(zip(views.boxes, views.flips, strict=True))
        return [CellRegions(carry_cells(cells, places[-1], place, *features.shape[2:]))
                for features, place in zip(maps, places, strict=False)]

    def extra_repr(self) -> str:
        return f'clusters=({self.low}, {self.high}), iterations={self.iterations}'
