"""What of the classes the labels of memory and queries hold, before anything is measured."""
from __future__ import annotations

import torch
from torch import Tensor

from .feature_cache import LayerMaps
from .from_config import EvaluationData


def pixels_by_class(images: LayerMaps, num_classes: int) -> Tensor:
    """Return the (C,) int64 number of labelled pixels of each class in all images."""
    total = torch.zeros(num_classes, dtype=torch.int64)
    for beside in images.beside:
        labels = beside['labels'].flatten().long()
        total += torch.bincount(labels[labels < num_classes], minlength=num_classes)
    return total


def absent_classes(memory: LayerMaps, queries: LayerMaps, data: EvaluationData) -> tuple[str, ...]:
    """Return the classes that the queries show and the memory never does: each scores 0.

    Args:
        memory, queries: maps with ``labels`` (H, W).
        data: whose images these are.

    Raises:
        ValueError: no pixel of the memory, or of the queries, is labelled.
    """
    counts = {}
    for part, maps, images in (('memory', memory, data.memory), ('query', queries, data.queries)):
        counts[part] = pixels_by_class(maps, len(data.classes))
        if not counts[part].any():
            raise ValueError(
                f'no pixel of the {len(images)} images of the {part} dataset '
                f'({images.description}) is labelled with one of the {len(data.classes)} classes; '
                'is the folder of the labels the right one?')
    absent = (counts['query'] > 0) & (counts['memory'] == 0)
    return tuple(name for name, missing in zip(data.classes, absent.tolist(), strict=True)
                 if missing)
