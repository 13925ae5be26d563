"""Passes of a frozen encoder over all items of a source."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import torch
from mmengine.dataset import pseudo_collate
from mmengine.dist import get_dist_info
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from .datasets import ConsecutiveBatches
from .features import RECALIBRATION_IMAGES, FrozenEncoder, by_size, recalibrate_bn


def batches_of(source: Dataset, batch_size: int, num_workers: int = 0) -> DataLoader:
    """Return a loader of whole batches of ``source``, dealt to the processes in turn."""
    # an own generator: a loader draws a seed from the global state otherwise
    return DataLoader(source, batch_size, sampler=ConsecutiveBatches(source, batch_size),
                      num_workers=num_workers, collate_fn=pseudo_collate,
                      generator=torch.Generator())


def recalibrate_on(encoder: FrozenEncoder, source: Dataset, batch_size: int,
                   num_workers: int = 0) -> None:
    """Re-estimate BatchNorm statistics on the first images of a source, as many as they need."""
    batches = islice(batches_of(source, batch_size, num_workers),
                     -(-RECALIBRATION_IMAGES // batch_size))
    recalibrate_bn(encoder, (images for images, _ in batches))


def maps_of(encoder: FrozenEncoder, source: Dataset, batch_size: int, num_workers: int = 0,
            indices: Sequence[int | str] | None = None
            ) -> Iterator[tuple[int, list[Tensor], dict[str, Tensor]]]:
    """Yield number, maps (C, h, w) and what stands beside, of this process's items of a source.

    Items of a batch come by size; neighbours of one size, as the views of an image, stay so.

    Args:
        indices: which maps, as of ``FrozenEncoder.layers``; None = the encoder's own.
    """
    rank, world_size = get_dist_info()
    indices = [encoder.out_index] if indices is None else indices
    for step, (images, beside) in enumerate(batches_of(source, batch_size, num_workers)):
        start = (step * world_size + rank) * batch_size
        for places, batch in by_size(images):
            for place, *maps in zip(places, *encoder.layers(batch, indices), strict=True):
                yield start + place, maps, {name: values[place]
                                            for name, values in beside.items()}
