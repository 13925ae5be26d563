"""The order of samples: the same for every count of workers, and continued after a skip."""
from __future__ import annotations

import itertools
import pickle

import pytest
from mmengine.dataset import ConcatDataset, RepeatDataset
from references.toy import ToyDataset

from mmdense.datasets.samplers import ResumableSampler, SampleIndex


def stream(count: int, rank: int = 0, world_size: int = 1, skip: int = 0, **settings) -> list:
    sampler = ResumableSampler(range(7), **{'seed': 3, **settings})
    sampler.rank, sampler.world_size, sampler.first = rank, world_size, rank
    if skip:
        sampler.skip(skip)
    return list(itertools.islice(sampler, count))


def places(indices: list[SampleIndex]) -> list[tuple[int, int]]:
    return [(int(index), index.position) for index in indices]


def test_each_epoch_is_another_permutation_of_the_dataset():
    indices = stream(21)
    epochs = [tuple(indices[start:start + 7]) for start in (0, 7, 14)]
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert len(set(epochs)) == 3
    assert [index.position for index in indices] == list(range(21))
    assert {index.seed for index in indices} == {3}
    assert stream(21) == indices != stream(21, seed=4)


def test_without_shuffling_it_repeats_the_dataset():
    assert stream(9, shuffle=False) == [0, 1, 2, 3, 4, 5, 6, 0, 1]


def test_processes_share_one_order():
    whole = places(stream(20))
    assert places(stream(10, rank=0, world_size=2)) == whole[0::2]
    assert places(stream(10, rank=1, world_size=2)) == whole[1::2]


@pytest.mark.parametrize('skip', [1, 6, 7, 8, 1_000_003])
def test_skip_counts_this_processes_samples_from_the_start(skip):
    if skip < 100:
        assert places(stream(5, skip=skip)) == places(stream(5 + skip))[skip:]
        whole = places(stream(2 * (5 + skip)))
        assert places(stream(5, 1, 2, skip=skip)) == whole[1::2][skip:]
    assert stream(1, 1, 3, skip=skip)[0].position == 1 + 3 * skip


def test_negative_skip_and_empty_dataset_are_refused():
    with pytest.raises(ValueError, match=r'skip\(-1\)'):
        stream(1, skip=-1)
    with pytest.raises(ValueError, match='list has no samples'):
        ResumableSampler([], seed=0)


def test_sample_index_survives_pickling_and_wrapped_datasets():
    index = pickle.loads(pickle.dumps(SampleIndex(17, 5, 99)))
    assert (index, index.seed, index.position) == (17, 5, 99)
    repeated = RepeatDataset(ToyDataset(size=13), times=4)
    concatenated = ConcatDataset([ToyDataset(size=13), ToyDataset(size=7)])
    for dataset, number, inside in ((repeated, 17, 4), (concatenated, 17, 4),
                                    (concatenated, 12, 12)):
        sample = dataset[SampleIndex(number, 5, 99)]
        assert sample['number'] == inside == sample['sample_idx']
        assert (sample['sample_idx'].seed, sample['sample_idx'].position) == (5, 99)
