"""Rank correlations with the linear mIoU, against ranks counted by hand."""
from __future__ import annotations

import pytest

from tables.results import Metric, correlations


def records(values: list[float], targets: list[float], layer: str = 'C5') -> list[dict]:
    return [dict(row='a', seed=seed, metrics=dict(
        statistics={'C5': dict(effective_rank=value)},
        linear={layer: dict(mIoU=target, plain_mIoU=-target, ceiling_mIoU=value,
                            random_mIoU=value)},
    )) for seed, (value, target) in enumerate(zip(values, targets, strict=True))]


def by_hand(values: list[float], targets: list[float]) -> float:
    """1 - 6 sum d^2 / n (n^2 - 1), for values that are all different."""
    ranks = [[sorted(of).index(one) for one in of] for of in (values, targets)]
    n = len(values)
    return 1 - 6 * sum((a - b) ** 2 for a, b in zip(*ranks, strict=True)) / (n * (n * n - 1))


def test_each_metric_with_the_linear_miou_of_its_layer():
    values, targets = [3., 1., 40., 15., 9.], [10., 30., 20., 90., 50.]
    found = {metric: rest for metric, *rest in correlations(records(values, targets))}
    rank = Metric('statistics', 'C5', 'effective_rank')
    assert found[rank] == [pytest.approx(by_hand(values, targets)), 5]
    assert found[Metric('linear', 'C5', 'plain_mIoU')] == [pytest.approx(-1), 5]
    assert set(found) == {rank, Metric('linear', 'C5', 'plain_mIoU')}, 'no baselines'
    # another layer's linear probe says nothing of this one
    other = correlations(records(values, targets, 'C4'))
    assert [str(metric) for metric, *_ in other] == ['linear C4 plain_mIoU']


def test_few_or_equal_numbers_give_none():
    assert correlations(records([1., 2., 3.], [1., 2., 3.])) == []
    assert len(correlations(records([1., 2., 3., 4.], [1., 2., 3., 4.]))) == 2
    assert [metric.name for metric, *_ in correlations(records([5.] * 4, [1., 2., 3., 4.]))] == [
        'plain_mIoU']
    missing = records([1., 2., 3., 4.], [1., 2., 3., 4.])
    missing[0]['metrics']['statistics']['C5']['effective_rank'] = None
    assert [metric.name for metric, *_ in correlations(missing)] == ['plain_mIoU']
