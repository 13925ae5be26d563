"""From region ids of pixels to one feature of each region (DetCon, arXiv 2103.10957, sec. 3.1)."""
from __future__ import annotations

import torch
from torch import Tensor

from mmdense.cells import at_pixels
from mmdense.mistakes import WrongValue

#: counts of pixels held at once, int32
COUNTS = 2 ** 24
#: ids up to here are looked up in a table, above it they are sorted
TABLE_IDS = 2 ** 20
#: ids up to here, if that is known, are counted as they are
COUNTED_IDS = 2 ** 10


def compact_ids(regions: Tensor) -> tuple[Tensor, Tensor]:
    """Return the different ids in ascending order (U,), 0 the first, and each pixel's place there.

    Raises:
        ValueError: an id below 0.
    """
    lowest, highest = (int(x) for x in regions.aminmax()) if regions.numel() else (0, 0)
    if lowest < 0:
        raise WrongValue(f'region id {lowest}: expected ids of at least 0, where 0 is no region')
    if highest > TABLE_IDS:
        padded = torch.cat([regions.new_zeros(1), regions.flatten()])
        ids, places = padded.unique(return_inverse=True)
        return ids, places[1:].view_as(regions)
    seen = torch.zeros(highest + 1, dtype=torch.bool, device=regions.device)
    seen[regions] = True
    seen[0] = True
    return seen.nonzero().squeeze(1), (seen.cumsum(0) - 1)[regions]


@torch.no_grad()
def cells_by_majority(regions: Tensor, h: int, w: int, highest: int | None = None) -> Tensor:
    """Return (B, h, w) int64: the region that most of each cell's pixels belong to.

    A pixel belongs to the cell that holds its centre. Of equally many the lowest id wins; 0 takes
    part, and a cell that it wins, or that holds no pixel, is 0: nobody's. Waits for a GPU twice
    unless ``highest`` says how many ids there can be.

    Args:
        regions: (B, H, W) integer ids of at least 0, of any size; 0 is no region.
        h: rows of cells, also where H is no multiple of it.
        w: columns of cells.
        highest: no id is above it; None = look for the ids.

    Raises:
        ValueError: not (B, H, W), an id below 0, or h or w below 1.
    """
    if regions.ndim != 3 or min(h, w) < 1:
        raise WrongValue(f'regions {tuple(regions.shape)} to {h} x {w} cells: expected (B, H, W) '
                         'and at least one cell')
    regions = regions.long()
    if highest is None or highest > COUNTED_IDS:
        ids, places = compact_ids(regions)
    else:
        ids, places = torch.arange(highest + 1, device=regions.device), regions
    size = h * w * len(ids)
    starts = torch.arange(0, size, len(ids), device=regions.device)            # of a cell's counts
    slots = at_pixels(starts.view(h, w), regions.shape[1:]).flatten()
    winners = []
    for part in places.flatten(1).split(max(COUNTS // size, 1)):
        counts = torch.zeros(len(part), size, dtype=torch.int32, device=part.device)
        counts.scatter_add_(1, slots + part, counts.new_ones(()).expand_as(part))
        winners.append(counts.view(len(part), h, w, -1).argmax(3))             # the first of equals
    return ids[torch.cat(winners)]


@torch.no_grad()
def sample_regions(cells: Tensor, count: int = 16) -> Tensor:
    """Draw ``count`` region ids of each image with replacement, (B, count).

    Uniformly over the ids above 0 that own at least one cell, however many cells that is. An image
    without any gets 0 everywhere. Drawn from torch's global generator of the device, which
    ``mmdense.IterationSeedHook`` sets from seed, iteration and rank.

    Args:
        cells: (B, h, w) int64, as of :func:`cells_by_majority`.
        count: R.
    """
    order = cells.flatten(1).sort(dim=1).values
    first = order > 0
    first[:, 1:] &= order[:, 1:] != order[:, :-1]
    place = first.cumsum(1)                                   # how many ids up to here
    total = place[:, -1:]
    draws = torch.rand(len(cells), count, device=cells.device, dtype=torch.float64)
    wanted = (draws * total).long() + 1                       # 1 … total
    at = torch.searchsorted(place, wanted).clamp_max(order.shape[1] - 1)
    return order.gather(1, at).masked_fill(total == 0, 0)


def weighted_pool(features: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Return weighted means (B, R, C) of maps, and the sums of the weights (B, R).

    At least in float32, also under autocast. Where all weights are 0 the mean is 0.

    Args:
        features: (B, C, h, w); gets a gradient, and so do weights that ask for one.
        weights: (B, R, h, w) of at least 0, bool or any float.

    Raises:
        ValueError: batch or sizes of the maps differ.
    """
    if (features.ndim != 4 or weights.ndim != 4 or len(features) != len(weights)
            or features.shape[2:] != weights.shape[2:]):
        raise WrongValue(f'features {tuple(features.shape)} and weights {tuple(weights.shape)}: '
                         'expected (B, C, h, w) and (B, R, h, w)')
    with torch.autocast(features.device.type, enabled=False):
        features = features.to(torch.promote_types(features.dtype, torch.float32)).flatten(2)
        weights = weights.to(features.dtype).flatten(2)
        area = weights.sum(2)
        share = weights / area.masked_fill(area == 0, 1)[:, :, None]
        return torch.bmm(share, features.transpose(1, 2)), area


def masked_pool(features: Tensor, cells: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean feature (B, R, C) of the cells of each id, and their number (B, R), a float.

    At least in float32, also under autocast. An id without cells, and id 0, give 0 and area 0.

    Args:
        features: (B, C, h, w); gets a gradient.
        cells: (B, h, w) int64, the region that each cell belongs to.
        ids: (B, R) int64, in any order, also several times.

    Raises:
        ValueError: batch or sizes of the maps differ.
    """
    if cells.ndim != 3 or ids.ndim != 2 or len(cells) != len(ids):
        raise WrongValue(f'cells {tuple(cells.shape)} and ids {tuple(ids.shape)}: expected '
                         '(B, h, w) and (B, R)')
    wanted = ids[:, :, None, None]
    return weighted_pool(features, (cells[:, None] == wanted) & (wanted != 0))
