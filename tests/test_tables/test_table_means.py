"""Means, errors and verdicts against slow formulas."""
from __future__ import annotations

from fractions import Fraction

import pytest

from tables.means import mean_of, paired


def slow(values: list[int]) -> tuple[Fraction, float]:
    """Mean and its error from exact sums over all pairs."""
    n = len(values)
    squares = sum(Fraction((one - other) ** 2) for one in values for other in values)
    return Fraction(sum(values), n), float(squares / (2 * n * (n - 1)) / n) ** 0.5


@pytest.mark.parametrize('values', [[1, 4], [3, 3, 3], [10, -7, 12, 40, 1, 2, 9]])
def test_mean_and_error(values):
    found = mean_of([float(value) for value in values])
    mean, error = slow(values)
    assert found.mean == pytest.approx(float(mean), abs=1e-12)
    assert found.error == pytest.approx(error, abs=1e-12) and found.count == len(values)


def test_one_value_has_no_error():
    assert str(mean_of([1.5])) == '1.50' and str(mean_of([1., 2.])) == '1.50 ± 0.50'
    with pytest.raises(ValueError, match='no values'):
        mean_of([])


def test_pairs_are_of_common_seeds():
    found = paired({0: 5., 1: 7., 2: 100.}, {1: 4., 0: 4., 9: 0.})
    mean, error = slow([1, 3])
    assert (found.mean, found.count) == (mean, 2) and found.error == pytest.approx(error)
    assert paired({0: 1.}, {1: 1.}) is None
    assert paired({0: 1.}, {0: 3.}).verdict == 'no difference seen'


@pytest.mark.parametrize('differences, verdict', [
    ([1., 1.1, 0.9, 1., 1.], 'no difference seen'),          # five pairs, however clear
    ([1., 1.1, 0.9, 1., 1., 1.], 'higher'),
    ([-1., -1.1, -0.9, -1., -1., -1.], 'lower'),
    ([3., -3., 3., -3., 3., -2.], 'no difference seen'),
    ([2., 2., 2., 2., 2., 2.], 'higher'),
    ([0.] * 6, 'no difference seen')])
def test_a_difference_needs_six_pairs_and_two_errors(differences, verdict):
    first = dict.fromkeys(range(len(differences)), 0.)
    assert paired(dict(enumerate(differences)), first).verdict == verdict
