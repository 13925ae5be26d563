"""From labelled maps to functions that segment other maps: k-NN and linear probes."""
from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .baselines import MeanIoU, upsample
from .feature_cache import LayerMaps
from .knn import knn_vote
from .linear_probe import fit_linear_probe, predict
from .memory import cell_histograms, choose_cells

CPU = torch.device('cpu')
#: gives the classes (H, W) int64 of a map (D, h, w), from the size (H, W)
Predictor = Callable[[Tensor, tuple[int, int]], Tensor]


def labelled_cells(memory: LayerMaps, num_classes: int, per_image: int | None = None,
                   seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return the cells of labelled maps that have a labelled pixel, with their pixels' classes.

    Args:
        memory: maps (D, h, w) with ``labels`` (H, W).
        num_classes: labels are below it; 255 = ignored.
        per_image: cells that an image gives at most, rare classes first; None = all.
        seed: of this choice, which is that of ``DenseKNNLoop``.

    Returns:
        (N, D) float32 features as they are, and (N, C) float32 pixel counts.

    Raises:
        ValueError: not one labelled cell.
    """
    features, histograms = [], []
    for number, (maps, beside) in enumerate(zip(memory.maps, memory.beside, strict=True)):
        counts = cell_histograms(beside['labels'].long(), *maps.shape[1:], num_classes)
        cells = choose_cells(counts, per_image, seed * 1_000_003 + number)
        features.append(maps.flatten(1).t()[cells])
        histograms.append(counts[cells])
    if not sum(map(len, features)):
        raise ValueError('no pixel of the memory images is labelled')
    return torch.cat(features), torch.cat(histograms)


def knn_predictor(memory: LayerMaps, num_classes: int, k: int = 30, beta: float = 0.02,
                  per_image: int | None = None, seed: int = 0,
                  device: torch.device | str = CPU) -> Predictor:
    """Return dense k-NN segmentation with these labelled maps. Arguments as of ``knn``.

    Raises:
        ValueError: no labelled cell, k < 1, beta <= 0.
    """
    if k < 1 or beta <= 0:
        raise ValueError(f'k={k}, beta={beta}: dense k-NN needs k >= 1 and beta > 0')
    keys, counts = labelled_cells(memory, num_classes, per_image, seed)
    keys = F.normalize(keys.to(device), dim=1)
    shares = F.normalize(counts.to(device), p=1, dim=1)

    def predictor(maps: Tensor, size: tuple[int, int]) -> Tensor:
        unit = F.normalize(maps.to(device).flatten(1).t(), dim=1)
        return upsample(knn_vote(unit, keys, shares, k, beta), *maps.shape[1:], size)

    return predictor


def linear_predictors(memory: LayerMaps, num_classes: int, per_image: int | None = None,
                      seed: int = 0, device: torch.device | str = CPU) -> dict[str, Predictor]:
    """Return linear probes: ``mIoU`` with BatchNorm, ``plain_mIoU``. Arguments as of ``linear``.

    Raises:
        ValueError: no labelled cell, features that are not finite.
    """
    features, counts = (rows.to(device)
                        for rows in labelled_cells(memory, num_classes, per_image, seed))

    def predictor(probe: nn.Module) -> Predictor:
        return lambda maps, size: predict(probe, maps.to(device), size)

    return {name: predictor(fit_linear_probe(features, counts, batch_norm, seed=seed))
            for name, batch_norm in (('mIoU', True), ('plain_mIoU', False))}


def score(predictors: Mapping[str, Predictor], queries: LayerMaps,
          num_classes: int) -> dict[str, float]:
    """Return the mIoU (per cent) of each predictor on labelled maps."""
    found = {name: MeanIoU(num_classes) for name in predictors}
    for maps, beside in zip(queries.maps, queries.beside, strict=True):
        labels = beside['labels'].long()
        for name, predictor in predictors.items():
            found[name].add(predictor(maps, tuple(labels.shape)).cpu(), labels)
    return {name: iou.compute(len(queries.maps)) for name, iou in found.items()}
