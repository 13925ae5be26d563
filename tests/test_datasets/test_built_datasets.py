"""Walking datasets inside datasets."""
from __future__ import annotations

from types import SimpleNamespace

import pytest
from mmengine.dataset import BaseDataset, RepeatDataset

from mmdense.datasets.built_datasets import innermost, walk, with_steps


class Numbers(BaseDataset):
    """``count`` samples of one start."""

    def __init__(self, start: int, count: int) -> None:
        self.start, self.count = start, count
        super().__init__(serialize_data=False, pipeline=[lambda results: results])

    def load_data_list(self) -> list[dict]:
        return [dict(number=self.start + number) for number in range(self.count)]


@pytest.fixture(scope='module')
def nested():
    return RepeatDataset(dict(type='ConcatDataset', datasets=[Numbers(0, 2), Numbers(10, 3)]), 2)


def test_each_dataset_before_what_it_wraps(nested):
    assert [type(part).__name__ for part in walk(nested)] == [
        'RepeatDataset', 'ConcatDataset', 'Numbers', 'Numbers']


def test_an_index_leads_to_the_innermost_dataset(nested):
    for index in range(len(nested)):
        inner, place = innermost(nested, index)
        assert isinstance(inner, Numbers) and inner[place]['number'] == nested[index]['number']


def test_steps_are_exchanged_in_a_copy(nested):
    found = with_steps(nested, lambda steps, name: [*steps, lambda results: (
        name, results['number'])])
    assert [found[index] for index in (1, 7)] == [('Numbers', 1), ('Numbers', 10)]
    assert nested[7]['number'] == 10
    with pytest.raises(ValueError, match='SimpleNamespace has no pipeline'):
        with_steps(SimpleNamespace(), lambda steps, name: steps)
