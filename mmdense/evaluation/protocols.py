"""Protocols of frozen evaluation on extracted maps.

Dense k-NN, linear probe, over-clustering, correspondence, statistics without labels.
"""
from __future__ import annotations

import torch

from mmdense.cells import at_pixels

from .baselines import Baselines
from .feature_cache import LayerMaps
from .feature_statistics import spread_of
from .knn import KNNSegmenter
from .label_free import Correspondence
from .overclustering import (
    confusion,
    fit_clusters,
    match_hungarian,
    match_many_to_one,
    matched_miou,
)
from .place_share import feature_place_share, label_place_share
from .predictors import CPU, labelled_cells, linear_predictors, score

#: what tools/evaluate.py measures with frozen features
PROTOCOLS = ('knn', 'linear', 'overcluster', 'correspondence', 'statistics')
#: those of them that need labels
LABELLED = ('knn', 'linear', 'overcluster')
#: beginnings of the names of numbers that no feature enters
BASELINES = ('position_prior_', 'ceiling_', 'label_')


def decimals(protocol: str) -> int:
    """Return how many decimals its numbers are shown with; those of statistics are no per cent."""
    return 3 if protocol == 'statistics' else 2


def baselines(memory: LayerMaps, queries: LayerMaps, num_classes: int) -> dict[str, float]:
    """Return the reference values for the mIoU (per cent) of any features.

    Only the labels and the size of the maps enter.

    Args:
        memory: maps with ``labels`` (H, W).
        queries: maps (D, h, w) with ``labels`` (H', W').
        num_classes: of both.

    Returns:
        ``position_prior_mIoU`` (per-pixel majority of the memory's labels) and ``ceiling_mIoU``
        (the true labels at the maps' resolution).
    """
    found = Baselines(num_classes, tuple(memory.beside[0]['labels'].shape), CPU)
    for beside in memory.beside:
        found.prior.add(beside['labels'].long())
    for maps, beside in zip(queries.maps, queries.beside, strict=True):
        found.add(beside['labels'].long(), *maps.shape[1:])
    return found.compute(len(queries.maps))


def knn(memory: LayerMaps, queries: LayerMaps, num_classes: int, k: int = 30, beta: float = 0.02,
        per_image: int | None = None, seed: int = 0,
        device: torch.device | str = CPU) -> dict[str, float]:
    """Return the mIoU (per cent) of dense k-NN segmentation, as ``DenseKNNLoop`` measures it.

    Args:
        memory: labelled maps (D, h, w).
        queries: labelled maps (D, h', w') to be segmented.
        num_classes: of both.
        k: neighbours.
        beta: temperature of their votes.
        per_image: cells that an image gives to the memory at most, rare classes first.
        seed: of this choice.
        device: where it is computed.

    Returns:
        ``mIoU``.

    Raises:
        ValueError: no labelled cell, k < 1, beta <= 0.
    """
    cells = labelled_cells(memory, num_classes, per_image, seed)
    return score(dict(mIoU=KNNSegmenter(cells, device, k, beta)), queries, num_classes)


def linear(memory: LayerMaps, queries: LayerMaps, num_classes: int, per_image: int | None = None,
           seed: int = 0, device: torch.device | str = CPU) -> dict[str, float]:
    """Return the mIoU (per cent) of linear probes with and without BatchNorm before them.

    Args:
        memory: labelled maps (D, h, w) to train on.
        queries: labelled maps (D, h', w') to be segmented.
        num_classes: of both.
        per_image: training cells of an image at most, rare classes first; None = all.
        seed: of this choice and of the order of the cells.
        device: where it is computed.

    Returns:
        ``mIoU`` (with BatchNorm) and ``plain_mIoU`` (without).

    Raises:
        ValueError: no labelled cell, features that are not finite.
    """
    predictors = linear_predictors(memory, num_classes, per_image, seed, device)
    return score(predictors, queries, num_classes)


@torch.no_grad()
def overcluster(queries: LayerMaps, num_classes: int, num_clusters: int = 500,
                seed: int = 0) -> dict[str, float]:
    """Return the mIoU (per cent) of k-means clusters of the queries' cells, matched to classes.

    Clusters are fitted on all cells of the queries and matched with their labels, the published
    way (:mod:`~mmdense.evaluation.overclustering`).

    Args:
        queries: labelled maps (D, h, w).
        num_classes: of their labels.
        num_clusters: K of the many-to-one match.
        seed: of k-means.

    Returns:
        ``hungarian_mIoU`` (as many clusters as classes, one to one) and
        ``K<num_clusters>_mIoU`` (many to one).

    Raises:
        ValueError: fewer cells than clusters, features that are not finite, no labelled pixel.
    """
    cells = torch.cat([maps.flatten(1).t() for maps in queries.maps])
    found = {}
    for name, count, match in (('hungarian', num_classes, match_hungarian),
                               (f'K{num_clusters}', num_clusters, match_many_to_one)):
        clusters = fit_clusters(cells, count, seed=seed).predict(cells)
        counts, start = torch.zeros(count, num_classes, dtype=torch.int64), 0
        for maps, beside in zip(queries.maps, queries.beside, strict=True):
            h, w = maps.shape[1:]
            own, start = clusters[start:start + h * w].view(h, w), start + h * w
            labels = beside['labels'].long()
            counts += confusion(at_pixels(own, tuple(labels.shape)), labels, count,
                                num_classes)
        found[f'{name}_mIoU'] = round(matched_miou(counts, match(counts)), 2)
    return found


@torch.no_grad()
def correspondence(pairs: LayerMaps, device: torch.device | str = CPU) -> dict[str, float]:
    """Return the share (per cent) of cells whose most similar cell of the other view is right.

    Args:
        pairs: maps (D, h, w) of :class:`ViewPairs`: items 2 i and 2 i + 1 are views of image i.
        device: where it is computed.

    Returns:
        ``within_1``, ``within_2``, and beside them ``position_prior_within_1`` and ``_2``: what
        a network gives that knows the place of a cell in its view and nothing else.

    Raises:
        ValueError: no cell is in both views.
    """
    found = Correspondence(device)
    for number in range(0, len(pairs.maps), 2):
        both = slice(number, number + 2)
        found.add(torch.stack(pairs.maps[both]).to(device), *(
            torch.stack([beside[name] for beside in pairs.beside[both]])
            for name in ('box', 'flip')))
    return {name: round(value, 2) for name, value in found.compute(len(pairs.maps) // 2).items()}


def statistics(queries: LayerMaps, seed: int = 0,
               num_classes: int | None = None) -> dict[str, float]:
    """Return numbers of the maps that need no labels; they are not per cent.

    Args:
        queries: maps (D, h, w), labelled if there is a number of classes.
        seed: of the cells that are looked at.
        num_classes: of the labels, or None.

    Returns:
        ``effective_rank`` and ``feature_std`` (:mod:`~mmdense.evaluation.feature_statistics`),
        ``place_share`` and, with labels, ``label_place_share``
        (:mod:`~mmdense.evaluation.place_share`); nan of features that are not finite.
    """
    found = dict(**spread_of(queries.maps, seed), place_share=feature_place_share(queries.maps))
    if num_classes is not None:
        found['label_place_share'] = label_place_share(
            (beside['labels'] for beside in queries.beside),
            (tuple(maps.shape[1:]) for maps in queries.maps), num_classes)
    return {name: round(value, 4) for name, value in found.items()}


def beside_random(found: dict[str, float], of_random: dict[str, float]) -> dict[str, float]:
    """Return results with those of a random network beside them, as ``random_…``."""
    return {**found, **{f'random_{name}': value for name, value in of_random.items()
                        if not name.startswith(BASELINES)}}
