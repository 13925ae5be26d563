"""Measures of features without labels: correspondence, effective rank, spread."""
from __future__ import annotations

import torch
from mmengine.dist import all_reduce
from torch import Tensor

from mmdense.gathering import gather_unequal_rows
from mmdense.mistakes import WrongValue
from mmdense.structures import Views

from .feature_statistics import correspondence_accuracy, draw_cells, places_in_second_view, spread
from .features import FrozenEncoder
from .passes import maps_of
from .sources import RawImages, ViewPairs

#: distances, in cells, within which a match counts as right
TOLERANCES = (1, 2)


class Correspondence:
    """Cells of first views whose most similar cell of the second view is right, counted.

    Counted are the cells whose centre lies in the second view, of all images together. Right is
    within one or two cells of the true place.

    Args:
        device: of the maps.
        with_prior: also count what a network gives that knows the place of a cell in its view and
            nothing else.
    """

    def __init__(self, device: torch.device | str, with_prior: bool = True) -> None:
        self.starts = ('', 'position_prior_') if with_prior else ('',)
        self.right = torch.zeros(len(self.starts), len(TOLERANCES), dtype=torch.float64,
                                 device=device)
        self.total = torch.zeros((), dtype=torch.float64, device=device)

    def add(self, maps: Tensor, boxes: Tensor, flips: Tensor) -> None:
        """Take the two views of an image.

        Args:
            maps: (2, C, h, w).
            boxes: (2, 4) half-open pixels of the image.
            flips: (2,) bool.
        """
        first, second = maps[:1], maps[1:]
        views = Views(boxes=boxes[:, None].to(maps.device), flips=flips[:, None].to(maps.device),
                      index=torch.zeros(1, dtype=torch.long))
        places, visible = places_in_second_view(views, first, second)
        total = visible.sum().double()
        h, w = maps.shape[2:]
        position = torch.eye(h * w, device=maps.device).view(1, -1, h, w)
        pairs = ((first, second), (position, position))[:len(self.starts)]
        for right, pair in zip(self.right, pairs, strict=True):
            share = torch.stack([correspondence_accuracy(*pair, places, visible, tolerance)
                                 for tolerance in TOLERANCES]).double()
            # no cell: nothing to share; nan of others is nan of features
            right += torch.where(total > 0, share * total, 0)
        self.total += total

    def compute(self, images: int) -> dict[str, float]:
        """Return per cent of all processes' cells: ``within_1``, ``within_2``, and of the prior.

        Raises:
            ValueError: no cell of ``images`` images is in both views.
        """
        all_reduce(self.right)
        all_reduce(self.total)
        if not self.total:
            raise WrongValue(f'correspondence: no cell of {images} images is in both views')
        return {f'{start}within_{tolerance}': float(100 * right / self.total)
                for start, row in zip(self.starts, self.right, strict=True)
                for tolerance, right in zip(TOLERANCES, row, strict=True)}


@torch.no_grad()
def label_free_metrics(encoder: FrozenEncoder, images: RawImages, seed: int = 0,
                       batch_size: int = 8, num_workers: int = 0) -> dict[str, float]:
    """Measure an encoder as the protocols ``correspondence`` and ``statistics`` do.

    Several processes share the images; all return the same.

    Args:
        encoder: gives the maps; is not changed.
        images: are looked at, and cut into two views each (:class:`ViewPairs`).
        seed: of the crops and of the choice of cells.
        batch_size: images in a pass.
        num_workers: of the data loader.

    Returns:
        ``correspondence_accuracy`` (``within_1``, per cent), ``effective_rank`` and
        ``feature_std``. All nan where features are not finite.

    Raises:
        ValueError: no cell is in both crops, or what ``images`` raise.
    """
    device = encoder.device
    matched = Correspondence(device, with_prior=False)
    pairs = maps_of(encoder, ViewPairs(images, seed), 2 * batch_size, num_workers)
    for (_, first, beside), (_, second, other) in zip(pairs, pairs, strict=True):
        matched.add(torch.stack([*first, *second]), *(torch.stack([beside[name], other[name]])
                                                      for name in ('box', 'flip')))
    drawn = [(draw_cells(maps, len(images), number, seed), number)
             for number, (maps,), _ in maps_of(encoder, images, batch_size, num_workers)]
    rows = torch.cat([cells for cells, _ in drawn]) if drawn else None
    numbers = torch.cat([torch.full((len(cells),), number, device=device)
                         for cells, number in drawn]) if drawn else None
    rows, order = (gather_unequal_rows(part, device) for part in (rows, numbers))
    order = order.argsort(stable=True)
    return dict(correspondence_accuracy=matched.compute(len(images))['within_1'],
                **spread(rows[order], seed))
