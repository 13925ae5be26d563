"""Labelled maps as cells to learn from, and functions that segment other maps."""
from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from .baselines import MeanIoU
from .feature_cache import LayerMaps
from .labelled_cells import LabelledCells
from .linear_probe import fit_linear_probe, predict

CPU = torch.device('cpu')
#: gives the classes (H, W) int64 of a map (D, h, w), from the size (H, W)
Predictor = Callable[[Tensor, tuple[int, int]], Tensor]


def labelled_cells(memory: LayerMaps, num_classes: int, per_image: int | None = None,
                   seed: int = 0) -> LabelledCells:
    """Return the labelled cells of maps (D, h, w) with ``labels`` (H, W)."""
    cells = LabelledCells(num_classes, per_image, seed)
    for number, (maps, beside) in enumerate(zip(memory.maps, memory.beside, strict=True)):
        cells.add(maps, beside['labels'].long(), number)
    return cells


def linear_predictors(memory: LayerMaps, num_classes: int, per_image: int | None = None,
                      seed: int = 0, device: torch.device | str = CPU) -> dict[str, Predictor]:
    """Return linear probes: ``mIoU`` with BatchNorm, ``plain_mIoU``. Arguments as of ``linear``.

    Raises:
        ValueError: no labelled cell, features that are not finite.
    """
    features, counts = labelled_cells(memory, num_classes, per_image, seed).gathered(device)

    def predictor(probe: nn.Module) -> Predictor:
        return lambda maps, size: predict(probe, maps.to(device), size)

    return {name: predictor(fit_linear_probe(features, counts, batch_norm, seed=seed))
            for name, batch_norm in (('mIoU', True), ('plain_mIoU', False))}


def add_predictions(iou: MeanIoU, predictor: Predictor, queries: LayerMaps) -> None:
    """Take what a predictor makes of labelled maps into ``iou``."""
    for maps, beside in zip(queries.maps, queries.beside, strict=True):
        labels = beside['labels'].long()
        iou.add(predictor(maps, tuple(labels.shape)).cpu(), labels)


def score(predictors: Mapping[str, Predictor], queries: LayerMaps,
          num_classes: int) -> dict[str, float]:
    """Return the mIoU (per cent) of each predictor on labelled maps."""
    found = {name: MeanIoU(num_classes) for name in predictors}
    for name, predictor in predictors.items():
        add_predictions(found[name], predictor, queries)
    return {name: iou.compute(len(queries.maps)) for name, iou in found.items()}
