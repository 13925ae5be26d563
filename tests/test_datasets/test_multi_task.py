"""Groups of images of several tasks: orders, shares, processes, seeds, bad input."""
from __future__ import annotations

from collections import Counter
from itertools import islice

import pytest
from mmengine.registry import DefaultScope
from references import toy  # noqa: F401

from mmdense.datasets import MultiTaskDataset, MultiTaskSampler, ResumableSampler
from mmdense.datasets.dataset_configs import changed, walk
from mmdense.datasets.multi_task import task_seed

SIZES = dict(a=5, b=3)


def dataset(shares=None, **sizes):
    with DefaultScope.overwrite_default_scope('mmseg'):
        return MultiTaskDataset({
            name: dict(type='mmengine.ToyDataset', size=size, serialize_data=False,
                       pipeline=[dict(type='mmdense.SeedSample')])
            for name, size in (sizes or SIZES).items()}, shares)


def groups(count, rank=0, world=1, skip=0, **settings):
    sampler = MultiTaskSampler(dataset(dict(a=2)), seed=4, **settings)
    sampler.rank, sampler.world_size = rank, world
    sampler.skip(skip)
    return list(islice(sampler, count))


def seen(found):
    """Index, seed and position of each image, by task."""
    return {name: [(int(i), i.seed, i.position) for group in found for i in group[name]]
            for name in SIZES}


def test_each_task_has_the_order_of_its_dataset_alone():
    found = seen(groups(10))
    for name, share in dict(a=2, b=1).items():
        alone = ResumableSampler(range(SIZES[name]), seed=task_seed(4, name))
        assert found[name] == [(int(i), i.seed, i.position)
                               for i in islice(alone, 10 * share)]
    assert Counter(index for index, *_ in found['a'][:10]) == dict.fromkeys(range(5), 2)
    assert found['a'][0][1] != found['b'][0][1]         # the same image gets other views


@pytest.mark.parametrize('skip', [0, 3])
def test_processes_share_the_groups_and_resuming_skips_them(skip):
    whole = seen(groups(12))
    parts = [groups(6 - skip, rank, 2, skip) for rank in range(2)]
    joined = seen([group for pair in zip(*parts, strict=True) for group in pair])
    assert joined == {name: images[2 * skip * (2 if name == 'a' else 1):]
                      for name, images in whole.items()}


def test_without_shuffling_the_order_is_the_datasets():
    assert [index for index, *_ in seen(groups(4, shuffle=False))['a']] == [0, 1, 2, 3, 4, 0, 1, 2]


def test_samples_are_lists_by_task():
    data = dataset(dict(a=2))
    group = groups(1)[0]
    sample = data[group]
    assert [[one['number'] for one in sample[name]] for name in SIZES] == [group['a'], group['b']]
    assert len(data) == 3                               # ceil(5 / 2), ceil(3 / 1)
    assert [one['number'] for one in data[2]['a']] == [4, 0]


def test_the_configs_inside_are_found_and_changed():
    cfg = dict(type='mmdense.MultiTaskDataset', datasets=dict(a=dict(type='A'), b=dict(type='B')))
    assert [part['type'] for part in walk(cfg)] == ['mmdense.MultiTaskDataset', 'A', 'B']
    made = changed(cfg, lambda part: {**part, 'seen': True})
    assert made['datasets']['b'] == dict(type='B', seen=True)
    assert 'seen' not in cfg['datasets']['b']


@pytest.mark.situation('settings', 'a task whose dataset is empty, a share below 1, a share of no '
                       'dataset', 'error', 'names the task and the share')
@pytest.mark.parametrize('shares, told', [
    (dict(a=0), r'shares\.a=0; expected a whole number'),
    (dict(a=1.5), r'shares\.a=1\.5; expected a whole number'),
    (dict(c=1), r"datasets of \['a', 'b'\], shares of \['c'\]")])
def test_bad_shares_are_told(shares, told):
    with pytest.raises(ValueError, match=told):
        dataset(shares)


def test_data_that_is_none_and_other_samplers_are_told():
    with pytest.raises(ValueError, match='datasets of no task'):
        MultiTaskDataset({})
    with pytest.raises(ValueError, match=r"ToyDataset of task 'b' has no samples"):
        dataset(a=2, b=0)
    with pytest.raises(TypeError, match='MultiTaskSampler: the dataset is a range'):
        MultiTaskSampler(range(3))
    with pytest.raises(TypeError, match=r"expected sampler=dict\(type='mmdense.MultiTaskSampler"):
        dataset()[next(iter(ResumableSampler(dataset(), seed=1)))]
