"""Data of several tasks in one training step: a pipeline and a share of the batch for each."""
from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any

import numpy as np
from mmseg.registry import DATASETS as MMSEG_DATASETS

from mmdense.mistakes import WrongType, WrongValue
from mmdense.registry import DATA_SAMPLERS, DATASETS, FUNCTIONS

from .collate import collate_views
from .samplers import ResumableSampler, SampleIndex


def task_seed(seed: int, name: str) -> int:
    """Return a task's own seed, 0 to 2³² - 1; another task's name does not change it."""
    return int(np.random.SeedSequence([seed, zlib.crc32(name.encode())]).generate_state(1)[0])


def positions_of(first: int, step: int, share: int) -> Iterator[int]:
    """Yield the positions in a task's order of the groups ``first``, ``first + step``, …"""
    for group in count(first, step):
        yield from range(group * share, (group + 1) * share)


@DATASETS.register_module()
class MultiTaskDataset:
    """Groups of images: in each, ``shares[NAME]`` images of the dataset of each task.

    Sample g is a dict by task of lists of the task's samples. Which images are in it says
    :class:`MultiTaskSampler`; an integer g takes them in the datasets' own order, over and over.

    Args:
        datasets: by task, any dataset's config with its pipeline.
        shares: by task, how many of its images are in a group; 1 where it is not named.

    Raises:
        ValueError: no dataset, one without samples, a share below 1, or a share of no dataset.
    """

    def __init__(self, datasets: dict[str, dict], shares: dict[str, int] | None = None) -> None:
        shares = dict(shares or {})
        unknown = [name for name in shares if name not in datasets]
        if not datasets or unknown:
            raise WrongValue(f'MultiTaskDataset: datasets of {list(datasets) or "no task"}, shares '
                             f'of {list(shares)}; expected a dataset for each share, at least one')
        self.names = list(datasets)
        self.shares = [shares.get(name, 1) for name in self.names]
        for name, share in zip(self.names, self.shares, strict=True):
            if isinstance(share, bool) or not isinstance(share, int) or share < 1:
                raise WrongValue(f'MultiTaskDataset: shares.{name}={share!r}; expected a whole '
                                 'number of images, at least 1')
        # a list, as ConcatDataset has: what walks through datasets finds them
        self.datasets = [MMSEG_DATASETS.build(cfg) for cfg in datasets.values()]
        for name, dataset in zip(self.names, self.datasets, strict=True):
            if len(dataset) == 0:
                raise WrongValue(f'MultiTaskDataset: the {type(dataset).__name__} of task '
                                 f'{name!r} has no samples')

    def __len__(self) -> int:
        """Number of groups after which every image of every task has been taken."""
        return max(-(-len(dataset) // share)
                   for dataset, share in zip(self.datasets, self.shares, strict=True))

    def __getitem__(self, group: int | Mapping[str, Sequence[int]]) -> dict[str, list[Any]]:
        """Return each task's samples of a group.

        Raises:
            TypeError: an index of :class:`ResumableSampler`, which knows no tasks: all of them
                would draw the same random numbers.
        """
        if isinstance(group, SampleIndex):
            raise WrongType('MultiTaskDataset: mmdense.ResumableSampler orders one dataset; '
                            "expected sampler=dict(type='mmdense.MultiTaskSampler')")
        if not isinstance(group, Mapping):
            group = {name: [(group * share + at) % len(dataset) for at in range(share)]
                     for name, dataset, share in zip(self.names, self.datasets, self.shares,
                                                     strict=True)}
        return {name: [dataset[index] for index in group[name]]
                for name, dataset in zip(self.names, self.datasets, strict=True)}


@DATA_SAMPLERS.register_module()
class MultiTaskSampler(ResumableSampler):
    """An infinite stream of groups, for each task a list of :class:`SampleIndex`.

    The images of a task are ordered as :class:`ResumableSampler` would order its dataset alone,
    with the task's own seed: group g has the positions g s to g s + s - 1 of that order, s = its
    share. Of W processes, process r takes the groups r, r + W, r + 2 W, …

    Args:
        dataset: a :class:`MultiTaskDataset`.
        shuffle, seed: as of :class:`ResumableSampler`.

    Raises:
        TypeError: another dataset.
    """

    def __init__(self, dataset: MultiTaskDataset, shuffle: bool = True,
                 seed: int | None = None) -> None:
        if not isinstance(dataset, MultiTaskDataset):
            raise WrongType(f'MultiTaskSampler: the dataset is a {type(dataset).__name__}; '
                            'expected mmdense.MultiTaskDataset')
        super().__init__(dataset, shuffle, seed)
        self.dataset = dataset

    def __iter__(self) -> Iterator[dict[str, list[SampleIndex]]]:
        streams = {}
        for name, part, share in zip(self.dataset.names, self.dataset.datasets,
                                     self.dataset.shares, strict=True):
            order = ResumableSampler(part, self.shuffle, task_seed(self.seed, name))
            streams[name] = order.at(positions_of(self.first, self.world_size, share)), share
        while True:
            yield {name: [next(stream) for _ in range(share)]
                   for name, (stream, share) in streams.items()}


@FUNCTIONS.register_module()
def collate_tasks(groups: Sequence[Mapping[str, Sequence[dict]]]) -> dict[str, dict]:
    """Return by task what :func:`collate_views` makes of its samples in all groups.

    A task of share s has B = s x ``batch_size`` images.
    """
    return {name: collate_views([sample for group in groups for sample in group[name]])
            for name in groups[0]}
