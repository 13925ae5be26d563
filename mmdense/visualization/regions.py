"""Regions as a region method sees them: of an image, of its two views, and of their cells."""
from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from mmdense.cells import at_pixels
from mmdense.datasets.collate import collate_views
from mmdense.evaluation.features import evaluating
from mmdense.models.cell_regions import CellRegions, carry_cells
from mmdense.models.losses.detcon import pair_regions
from mmdense.models.selfsup.base import DenseSSL
from mmdense.random_states import kept_random_state
from mmdense.structures import Views


@dataclass
class SeenRegions:
    """The regions of one image, as ids; 0 is no region.

    Attributes:
        source: (H, W) of the image's pixels; None where only views have regions (learnt ones).
        pixels: (H, W) of each view's pixels.
        cells: (h, w) of each view, the region that each cell belongs to.
        ids: (R,) of each view, the regions drawn.
        positive: (R,) bool of each view, whether the other view has a row of the same region.
        boxes: (2, 4) of the views, in the image's pixels (x0, y0, x1, y1).
        flips: (2,) bool, whether a view is mirrored.
        number: of regions in the image; of learnt ones, of all that there are.
    """
    source: np.ndarray | None
    pixels: list[np.ndarray]
    cells: list[np.ndarray]
    ids: list[np.ndarray]
    positive: list[np.ndarray]
    boxes: np.ndarray
    flips: np.ndarray
    number: int

    def owners(self, view: int) -> list[int]:
        """Return the regions that own a cell of a view, the largest first."""
        ids, areas = np.unique(self.cells[view], return_counts=True)
        order = np.argsort(-areas, kind='stable')
        return [int(region) for region in ids[order] if region]

    def shared(self) -> list[int]:
        """Return the regions that own a cell of both views, the largest of the first view first."""
        both = set(self.owners(1))
        return [region for region in self.owners(0) if region in both]

    def listing(self) -> list[tuple[int, int | None, int | None]]:
        """Return how often each region was drawn from both views, None where it owns no cell.

        First the shared regions, then those of the first view alone, then the second's.
        """
        owners = [self.owners(view) for view in (0, 1)]
        draws = [Counter(ids.tolist()) for ids in self.ids]
        return [(region, *(count[region] if region in own else None
                           for own, count in zip(owners, draws, strict=True)))
                for region in dict.fromkeys([*self.shared(), *owners[0], *owners[1]])]


def deciding_net(model: DenseSSL) -> nn.Module:
    """Return the network that says what owns the cells: the twin, or the model without one.

    A twin that has not made a step begins as a copy of the model.
    """
    twin = getattr(model, 'twin', None)
    return model if twin is None or not twin.steps.item() else twin


def stretch(cells: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return (height, width): each pixel has what the cell, of cells (h, w), at its centre has."""
    return at_pixels(torch.from_numpy(cells), (height, width)).numpy()


def _array(regions: Tensor) -> np.ndarray:
    return regions[0].cpu().numpy()


def regions_of_pixels(found: list[CellRegions], images: list[Tensor], views: Views,
                      source: dict) -> tuple[np.ndarray | None, list[np.ndarray]]:
    """Return the regions (H, W) of pixels: of the image, None for learnt ones, and of two views.

    Args:
        found: regions of both views' cells, and maybe of the whole image's.
        images: (1, C, H, W) of each.
        views: their geometry.
        source: the image ``img`` and maybe its ``regions``, as they came to the views.
    """
    sizes = [image.shape[2:] for image in images[:2]]
    places = list(zip(views.boxes, views.flips, strict=True))
    if found[2:]:
        height, width = source['img'].shape[:2]
        box = torch.tensor([[0., 0, width, height]]).to(views.boxes)
        image, *pixels = [
            _array(carry_cells(found[2].cells, places[2], place, *size)) for place, size in
            zip([(box, torch.zeros_like(views.flips[0])), *places[:2]],
                [(height, width), *sizes], strict=True)]
        return image, pixels
    if found[0].weights is None and views.regions is not None:
        return source['regions'], [_array(regions) for regions in views.regions]
    # what is learnt has no finer place than a cell
    return None, [stretch(_array(regions.cells), *size)
                  for regions, size in zip(found, sizes, strict=True)]


def see_regions(model: DenseSSL, sample: dict) -> SeenRegions:
    """Return the regions of a sample's two views, and the ids drawn, as the model finds them.

    In eval mode; the same draw every time, and no trace of it in modes and random states.

    Args:
        model: a method with ``regions`` among its pictures: ``choose`` gives it its views, and
            ``draw`` their regions and ids, as of :class:`mmdense.DetConB`.
        sample: as packed, with ``source``, see :func:`mmdense.datasets.source.with_source`.

    Raises:
        ValueError: the model takes more or fewer views, or regions that the pipeline does not give.
    """
    geometry = sample['data_samples']
    with evaluating(model), torch.no_grad(), kept_random_state():
        torch.manual_seed(max(geometry.index, 0))
        batch = model.data_preprocessor(collate_views([sample]))
        model.check_views(batch['inputs'])
        images, views = model.choose(batch['inputs'], batch['data_samples'])
        net = deciding_net(model)
        maps = [model.encode(view, net) for view in images]
        # the whole image, where there is one, takes part as a view of itself: its own clusters
        found, ids = model.draw(net, maps, maps[2] if maps[2:] else None, views)
        source, pixels = regions_of_pixels(found, images, views, sample['source'])
        both = torch.stack(ids[:2])
        positive = pair_regions(both, both, True).positive.any(3)
    cells = [_array(regions.cells) for regions in found[:2]]
    known = np.stack(cells) if source is None else source
    learnt = found[0].weights
    return SeenRegions(
        source=source, pixels=pixels, cells=cells, ids=list(both[:, 0].cpu().numpy()),
        positive=list(positive[:, 0].cpu().numpy()), boxes=views.boxes[:2, 0].cpu().numpy(),
        flips=views.flips[:2, 0].cpu().numpy(),
        number=len(np.setdiff1d(known, [0])) if learnt is None else learnt.shape[1])
