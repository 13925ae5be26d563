"""The best layer, chosen without the images that are scored."""
from __future__ import annotations

import torch

from mmdense.datasets.label_maps import IGNORE

from .baselines import MeanIoU
from .feature_cache import LayerMaps
from .knn import KNNSegmenter
from .predictors import CPU, add_predictions, labelled_cells

#: what the choice is made by, among the results of ``knn``
CHOICE = 'memory_mIoU'


def memory_miou(memory: LayerMaps, num_classes: int, k: int = 30, beta: float = 0.02,
                memory_size: int | None = None, seed: int = 0,
                device: torch.device | str = CPU) -> float | None:
    """Return the dense k-NN mIoU (per cent) of memory images in other memory images.

    Even images are searched in odd ones and odd in even ones; the mIoU is of all together.

    Args:
        memory: maps (D, h, w) with ``labels`` (H, W).
        num_classes: of the labels.
        k: neighbours.
        beta: temperature of their votes.
        memory_size: cells that either half keeps at most, an equal part of each image.
        seed: of the choice of cells.
        device: where it is computed.

    Returns:
        mIoU, or None where a half has no labelled pixel, as with one image.
    """
    halves = [LayerMaps(memory.maps[start::2], memory.beside[start::2]) for start in (0, 1)]
    if not all(any((beside['labels'] != IGNORE).any() for beside in half.beside)
               for half in halves):
        return None
    iou = MeanIoU(num_classes)
    for queries, keys in (halves, halves[::-1]):
        per_image = None if memory_size is None else memory_size // len(keys.maps)
        cells = labelled_cells(keys, num_classes, per_image, seed)
        add_predictions(iou, KNNSegmenter(cells, device, k, beta), queries)
    return iou.compute(len(memory.maps))


def choose_layer(results: dict[str, dict[str, dict[str, float]]]) -> str | None:
    """Return the layer with the highest ``memory_mIoU`` of ``knn``, the first of equal ones.

    Args:
        results: by layer, protocol and name.

    Returns:
        None where not all of several layers have one.
    """
    found = {layer: protocols.get('knn', {}).get(CHOICE) for layer, protocols in results.items()}
    if len(found) < 2 or None in found.values():
        return None
    return max(found, key=found.get)
