"""An endless order of samples; each knows its position, so the order can be repeated."""
from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from itertools import count

import numpy as np
from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import Sampler

from mmdense.mistakes import WrongValue
from mmdense.registry import DATA_SAMPLERS


class SampleIndex(int):
    """A dataset index that carries the run's seed and its own position in the sampler's order.

    ``seed`` and ``position`` (counted over all epochs and processes) are what a sample's random
    choices follow from. Both survive pickling and the arithmetic by which ConcatDataset (``-``)
    and RepeatDataset (``%``) find the index inside a dataset.
    """
    seed: int
    position: int

    def __new__(cls, index: int, seed: int, position: int) -> SampleIndex:
        self = super().__new__(cls, index)
        self.seed, self.position = seed, position
        return self

    def __reduce__(self) -> tuple:
        return SampleIndex, (int(self), self.seed, self.position)

    def __sub__(self, other: int) -> SampleIndex:
        return SampleIndex(int(self) - int(other), self.seed, self.position)

    def __mod__(self, other: int) -> SampleIndex:
        return SampleIndex(int(self) % int(other), self.seed, self.position)


@DATA_SAMPLERS.register_module()
class ResumableSampler(Sampler):
    """An infinite stream of :class:`SampleIndex`, for iteration-based loops.

    Epoch e is the permutation f(seed, e) of the dataset; epochs follow each other without a gap
    or a remainder. Of W processes, process r takes positions r, r + W, r + 2 W, …

    Args:
        dataset: anything with a length.
        shuffle: False repeats the dataset in its own order.
        seed: None draws one, the same for all processes; such a run cannot be repeated.

    Raises:
        ValueError: the dataset is empty.
    """

    def __init__(self, dataset: Sized, shuffle: bool = True, seed: int | None = None) -> None:
        if len(dataset) == 0:
            raise WrongValue(f'ResumableSampler: the {type(dataset).__name__} has no samples')
        self.rank, self.world_size = get_dist_info()
        self.size, self.shuffle = len(dataset), shuffle
        self.seed = int(sync_random_seed() if seed is None else seed)
        self.first, self.shift = self.rank, 0

    def order(self, epoch: int) -> np.ndarray:
        """Return the dataset indices (size,) of ``epoch`` in the order of their positions."""
        if not self.shuffle:
            return np.arange(self.size)
        return np.random.default_rng((self.seed, epoch)).permutation(self.size)

    def skip(self, num_samples: int) -> None:
        """Begin after this process's first ``num_samples``, counted from the very start.

        The loop calls it on resume, before it iterates. No index is generated for it. The
        attribute ``shift`` counts positions that a run took more (or less) than its present batch
        and processes would have taken.

        Raises:
            ValueError: ``num_samples`` is negative.
        """
        if num_samples < 0:
            raise WrongValue(f'skip({num_samples}): expected a number of samples >= 0')
        self.first = self.rank + num_samples * self.world_size + self.shift

    def at(self, positions: Iterable[int]) -> Iterator[SampleIndex]:
        """Yield the indices at rising ``positions``, counted from the very start."""
        epoch, order = -1, None
        for position in positions:
            if position // self.size != epoch:
                epoch = position // self.size
                order = self.order(epoch)
            yield SampleIndex(order[position % self.size], self.seed, position)

    def __iter__(self) -> Iterator[SampleIndex]:
        return self.at(count(self.first, self.world_size))

    def __len__(self) -> int:
        """Number of samples in the dataset; the stream itself has no end."""
        return self.size
