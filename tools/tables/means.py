"""Means, standard errors and paired differences over seeds."""
from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mmdense.mistakes import WrongValue

#: fewer pairs, or a mean difference within so many standard errors, is no difference
PAIRS = 6
ERRORS = 2.0


@dataclass(frozen=True)
class Mean:
    """A mean over ``count`` values, and its standard error (None of one value)."""
    mean: float
    error: float | None
    count: int

    def text(self, decimals: int = 2) -> str:
        """Return the mean and, if there is one, the error behind ±."""
        beside = '' if self.error is None else f' ± {self.error:.{decimals}f}'
        return f'{self.mean:.{decimals}f}{beside}'

    def __str__(self) -> str:
        return self.text()


@dataclass(frozen=True)
class Difference(Mean):
    """A mean over pairs of the differences to another row."""

    @property
    def verdict(self) -> str:
        """``higher`` or ``lower``, or that no difference was seen."""
        if self.count < PAIRS or abs(self.mean) <= ERRORS * self.error:
            return 'no difference seen'
        return 'higher' if self.mean > 0 else 'lower'


def _moments(values: Sequence[float]) -> tuple[float, float | None, int]:
    count = len(values)
    mean = math.fsum(values) / count
    if count < 2:
        return mean, None, count
    variance = math.fsum((value - mean) ** 2 for value in values) / (count - 1)
    return mean, math.sqrt(variance / count), count


def mean_of(values: Sequence[float]) -> Mean:
    """Return mean and standard error (sample deviation by the root of the count).

    Raises:
        ValueError: no value.
    """
    if not values:
        raise WrongValue('the mean of no values; expected one at least')
    return Mean(*_moments(values))


def paired(row: Mapping[int, float], first: Mapping[int, float]) -> Difference | None:
    """Return the mean difference ``row - first`` over the seeds that both have, or None.

    Args:
        row: values by seed.
        first: those it is compared with, by seed.
    """
    seeds = sorted(set(row) & set(first))
    return Difference(*_moments([row[seed] - first[seed] for seed in seeds])) if seeds else None
