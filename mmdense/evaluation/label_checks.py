"""Which classes occur in the labels of memory and queries, before anything is measured."""
from __future__ import annotations

from mmdense.datasets.label_counts import LabelCounts

from .feature_cache import LayerMaps
from .from_config import EvaluationData


def check_classes(memory: LayerMaps, queries: LayerMaps,
                  data: EvaluationData) -> tuple[tuple[str, ...], list[tuple[int, str]]]:
    """Return the classes that the queries show and the memory never does: each scores 0.

    Args:
        memory, queries: maps with ``labels`` (H, W).
        data: whose images these are.

    Returns:
        the names, and for memory and queries the level and the line of what is to be said.

    Raises:
        ValueError: no pixel of the memory, or of the queries, is labelled, or all of many have
            the same class (:meth:`LabelCounts.judge`).
    """
    shown, lines = [], []
    for part, maps, images in (('memory', memory, data.memory), ('query', queries, data.queries)):
        counts = LabelCounts(data.classes, f'the {part} dataset ({images.description})')
        for beside in maps.beside:
            counts.add(beside['labels'])
        lines.append(counts.judge(learnt=part == 'memory'))
        shown.append(counts.by_class > 0)
    absent = (shown[1] & ~shown[0]).tolist()
    return tuple(name for name, missing in zip(data.classes, absent, strict=True)
                 if missing), lines
