"""Measures of features without labels: correspondence, effective rank, spread."""
from __future__ import annotations

import math
from collections.abc import Sized

import torch
from mmengine.dataset import pseudo_collate
from mmengine.dist import all_reduce, get_dist_info
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mmdense.structures import Views

from .datasets import ConsecutiveBatches
from .feature_cache import ViewPairs
from .features import FrozenEncoder, by_size
from .labelled_cells import gather_rows
from .monitor_hook import places_in_second_view
from .statistics import correspondence_accuracy, effective_rank, feature_std

#: images that are looked at
IMAGES = 256
#: cells, of all images together, that effective rank and spread are taken from
CELLS = 8192


class RawImages(Dataset):
    """At most ``count`` images of any dataset, evenly chosen over it.

    An item is the image (C, H, W) and an empty dict: what :class:`ViewPairs` cuts views from.

    Args:
        dataset: its samples are dicts with a raw image under ``inputs``.
        count: None = all.

    Raises:
        ValueError: from an item: the sample holds no image.
    """
    key = ''      # nothing of it is ever cached

    def __init__(self, dataset: Sized, count: int | None = IMAGES) -> None:
        size = len(dataset)
        count = size if count is None else min(count, size)
        self.dataset = dataset
        self.numbers = [size * place // count for place in range(count)]

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> tuple[Tensor, dict]:
        sample = self.dataset[self.numbers[index]]
        image = sample.get('inputs') if isinstance(sample, dict) else None
        if not isinstance(image, Tensor) or image.ndim != 3:
            got = tuple(image.shape) if isinstance(image, Tensor) else type(image).__name__
            raise ValueError(
                f"{type(self.dataset).__name__}: 'inputs' of sample {self.numbers[index]} is "
                f'{got}; expected one raw image (C, H, W): a pipeline of LoadImageFromFile and '
                'PackSegInputs, without views')
        return image, {}


def batches_of(source: Dataset, batch_size: int, num_workers: int = 0) -> DataLoader:
    """Return a loader of whole batches of ``source``, dealt to the processes in turn."""
    return DataLoader(source, batch_size, sampler=ConsecutiveBatches(source, batch_size),
                      num_workers=num_workers, collate_fn=pseudo_collate,
                      generator=torch.Generator())


def right_matches(maps: Tensor, boxes: Tensor, flips: Tensor) -> Tensor:
    """Count cells of one view that lie in the other, and those matched within one cell.

    Args:
        maps: (2, C, h, w) of two views of an image.
        boxes: (2, 4) half-open pixels of the image.
        flips: (2,) bool.

    Returns:
        (2,) float64: right ones, and all.
    """
    first, second = maps[:1], maps[1:]
    views = Views(boxes=boxes[:, None].to(maps.device), flips=flips[:, None].to(maps.device),
                  index=torch.zeros(1, dtype=torch.long))
    places, visible = places_in_second_view(views, first, second)
    total = visible.sum().double()
    share = correspondence_accuracy(first, second, places, visible).double()
    # no cell: nothing to share; nan of others is nan of features
    return torch.stack([torch.where(total > 0, share * total, 0), total])


def some_cells(maps: Tensor, count: int, seed: int) -> Tensor:
    """Return ``count`` cells (n, C), or all, of maps (B, C, h, w), drawn by an own generator."""
    cells = maps.flatten(2).transpose(1, 2).flatten(0, 1)
    order = torch.randperm(len(cells), generator=torch.Generator().manual_seed(seed))
    return cells[order[:count].to(cells.device)]


@torch.no_grad()
def label_free_metrics(encoder: FrozenEncoder, images: RawImages, seed: int = 0,
                       batch_size: int = 8, num_workers: int = 0) -> dict[str, float]:
    """Measure an encoder on two fixed crops of each image (:class:`ViewPairs`).

    Several processes share the images; all return the same.

    Args:
        encoder: gives the maps; is not changed.
        images: are cut.
        seed: of the crops and of the choice of cells.
        batch_size: images in a pass.
        num_workers: of the data loader.

    Returns:
        ``correspondence_accuracy``: per cent of the cells of first crops inside the second whose
        most similar cell there is within one cell of the true place. ``effective_rank`` and
        ``feature_std`` (:mod:`mmdense.evaluation.statistics`) of at most 8192 cells, an equal
        part from each image. All nan where features are not finite.

    Raises:
        ValueError: no cell is in both crops, or what ``images`` raise.
    """
    rank, world_size = get_dist_info()
    per_image, device = max(1, CELLS // len(images)), encoder.device
    right = torch.zeros(2, dtype=torch.float64, device=device)
    cells, numbers = [], []
    loader = batches_of(ViewPairs(images, seed), 2 * batch_size, num_workers)
    for step, (views, beside) in enumerate(loader):
        start = (step * world_size + rank) * batch_size
        for places, batch in by_size(views):
            maps = encoder(batch)
            # both views of an image have one size, so they stay neighbours
            for at in range(0, len(places), 2):
                pair, both = maps[at:at + 2], slice(places[at], places[at] + 2)
                right += right_matches(pair, torch.stack(beside['box'][both]),
                                       torch.stack(beside['flip'][both]))
                number = start + places[at] // 2
                cells.append(some_cells(pair, per_image, seed * 1_000_003 + number))
                numbers.append(torch.full((len(cells[-1]),), number, device=device))
    all_reduce(right)
    rows, order = (gather_rows(torch.cat(part) if part else None, device)
                   for part in (cells, numbers))
    return _summary(right, rows[order.argsort(stable=True)], len(images))


def _summary(right: Tensor, cells: Tensor, images: int) -> dict[str, float]:
    if not right[1]:
        raise ValueError(f'correspondence: no cell of {images} images is in both views')
    if not cells.isfinite().all():
        return dict.fromkeys(('correspondence_accuracy', 'effective_rank', 'feature_std'),
                             math.nan)
    maps = cells.t()[None, :, None]      # (1, C, 1, n)
    return dict(correspondence_accuracy=float(100 * right[0] / right[1]),
                effective_rank=float(effective_rank(maps)), feature_std=float(feature_std(maps)))
