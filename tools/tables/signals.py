"""Which other metrics of a checkpoint correlate with its linear mIoU."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mmdense.evaluation.signals import TARGET, rank_correlation

from .results import BASELINES, Metric, numbers_of

#: fewer checkpoints say nothing
FEWEST = 4


@dataclass(frozen=True)
class Signal:
    """Spearman's rank correlation of a metric with the linear mIoU of its layer."""
    metric: Metric
    correlation: float
    count: int


def signals(records: Sequence[dict]) -> list[Signal]:
    """Return the rank correlation of each metric with the linear mIoU of the same layer.

    Args:
        records: of all rows and seeds; those that have both numbers are a metric's checkpoints.

    Returns:
        one per metric of features with four checkpoints at least; none where either number is the
        same for all of them.
    """
    pairs: dict[Metric, list[tuple[float, float]]] = {}
    for one in records:
        numbers = dict(numbers_of(one))
        for metric, value in numbers.items():
            target = numbers.get(Metric(TARGET[0], metric.layer, TARGET[1]))
            if (metric.protocol, metric.name) != TARGET and target is not None \
                    and not metric.name.startswith(BASELINES):
                pairs.setdefault(metric, []).append((value, target))
    found = []
    for metric, both in pairs.items():
        values, targets = zip(*both, strict=True)
        correlation = rank_correlation(values, targets)
        if len(both) >= FEWEST and correlation is not None:
            found.append(Signal(metric, correlation, len(both)))
    return found
