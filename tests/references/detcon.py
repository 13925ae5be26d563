"""DetCon's loss as slow float64 loops over images and samples, from 2103.10957 and its code."""
from __future__ import annotations

import torch
from torch import Tensor

from references import region_pooling
from references.nce import log_of_sum, unit


def direction(pred: Tensor, own: Tensor, other: Tensor, ids: list, own_ids: list, other_ids: list,
              temperature: float, local_negatives: bool, group: int | None) -> Tensor:
    """One direction's mean over all rows; ``other`` is the view that the positives are in."""
    images, samples, _ = pred.shape
    total = pred.sum() * 0
    for b in range(images):
        for i in range(samples):
            keys, positives = [], []
            for c in range(images):
                if group is not None and c // group != b // group:
                    continue
                for j in range(samples):
                    for is_other, features, key_ids in ((True, other, other_ids),
                                                        (False, own, own_ids)):
                        same = c == b and key_ids[c][j] == ids[b][i]
                        if (key_ids[c][j] == 0 or (same and not is_other)
                                or (c == b and not same and not local_negatives)):
                            continue
                        keys.append(torch.dot(unit(pred[b, i]), unit(features[c, j])) / temperature)
                        positives += [keys[-1]] if same else []
            if positives and ids[b][i] != 0:
                cross = log_of_sum(keys) - sum(positives) / len(positives)
                total = total + cross / ids[b].count(ids[b][i])
    return total / (images * samples)


def detcon_nce(pred1: Tensor, pred2: Tensor, target1: Tensor, target2: Tensor, pred_ids1: list,
               pred_ids2: list, target_ids1: list, target_ids2: list, temperature: float = 0.1,
               local_negatives: bool = True, group: int | None = None) -> Tensor:
    """As :func:`mmdense.models.losses.detcon_nce`; the ids as lists of lists."""
    options = temperature, local_negatives, group
    return (direction(pred1, target1, target2, pred_ids1, target_ids1, target_ids2, *options)
            + direction(pred2, target2, target1, pred_ids2, target_ids2, target_ids1, *options))


def detcon(maps: list[Tensor], regions: list[Tensor], ids: list[Tensor], projector, targets=None,
           twin_projector=None, predictor=None, **options) -> Tensor:
    """The method's loss from the backbone's maps (B, C, h, w) of both views on.

    DetCon_B where a predictor is given, with the twin's maps and projector for the keys; else
    DetCon_S, whose keys are its own vectors. Networks and maps in float64; a projector gets all
    regions of a view at once. ``regions`` (B, H, W) and ``ids`` (B, R) of both views.
    """
    def vectors(net, both):
        rows = []
        for features, given, wanted in zip(both, regions, ids, strict=True):
            cells = region_pooling.cells_by_majority(given, *features.shape[2:])
            pooled = region_pooling.masked_pool(features, cells, wanted)[0]
            rows.append(net(pooled.flatten(0, 1)).unflatten(0, wanted.shape))
        return rows
    pred = vectors(projector, maps)
    keys = pred
    if predictor is not None:
        keys = [rows.detach() for rows in vectors(twin_projector, targets)]
        pred = [predictor(rows.flatten(0, 1)).unflatten(0, rows.shape[:2]) for rows in pred]
    lists = [wanted.tolist() for wanted in ids]
    return detcon_nce(*pred, *keys, *lists, *lists, **options)
