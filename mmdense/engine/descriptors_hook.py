"""File descriptors: one for each tensor that a data loader's worker hands over."""
from __future__ import annotations

import os
import resource
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from torch import Tensor
from torch.utils.data import DataLoader

from mmdense.mistakes import WrongValue
from mmdense.random_states import kept_random_state
from mmdense.registry import HOOKS

#: for logs, checkpoints, sockets, and the loaders of an evaluation
SPARE = 200


def count_tensors(batch: Any) -> int:
    """Return the number of tensors in nested data."""
    if isinstance(batch, Tensor):
        return 1
    if isinstance(batch, BaseDataElement):
        batch = batch.all_values()
    elif is_dataclass(batch):
        batch = [getattr(batch, field.name) for field in fields(batch)]
    elif isinstance(batch, Mapping):
        batch = batch.values()
    elif isinstance(batch, str) or not isinstance(batch, Sequence):
        return 0
    return sum(count_tensors(part) for part in batch)


def tensors_per_batch(loader: DataLoader) -> int:
    """Return the tensors of a batch, by the loader's first sample; random states stay."""
    with kept_random_state():
        sample = loader.dataset[0]
    one, two = (count_tensors(loader.collate_fn([sample] * size)) for size in (1, 2))
    size = loader.batch_size or getattr(loader.batch_sampler, 'batch_size', 1)
    return one + (two - one) * (size - 1)


def needed_descriptors(loader: DataLoader) -> int:
    """Return how many descriptors a process may have open at a time: it, or one of its workers."""
    if not loader.num_workers:
        return 0
    held = max(loader.num_workers * loader.prefetch_factor, 2 * loader.prefetch_factor) + 1
    return held * tensors_per_batch(loader) + len(os.listdir('/proc/self/fd')) + SPARE


@HOOKS.register_module()
class DescriptorsHook(Hook):
    """Stops a run that would run out of file descriptors, before its first step.

    ``import mmdense`` raises this process's limit as far as the system lets it.

    Raises:
        ValueError: before training; names need, limit and the ways out.
    """

    def before_train(self, runner: Runner) -> None:
        loader = runner.train_dataloader
        needed, (limit, _) = needed_descriptors(loader), resource.getrlimit(resource.RLIMIT_NOFILE)
        if limit != resource.RLIM_INFINITY and needed > limit:
            raise WrongValue(
                f'train_dataloader: num_workers={loader.num_workers} and batches of '
                f'{tensors_per_batch(loader)} tensors need up to {needed} file descriptors, the '
                f'limit is {limit}: ulimit -n {needed} before the command (or the limit that the '
                "administrator set), fewer workers, or collate_fn=dict(type='"
                "mmdense.collate_views') for views")
