"""Datasets that wrap others: ``dataset`` and ``datasets`` are what is inside."""
from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

from mmengine.config import Config
from mmengine.dataset import Compose, ConcatDataset
from mmengine.registry import DATASETS, DefaultScope

from mmdense.mistakes import WrongValue


def build_training_set(cfg: Config) -> Any:
    """Return the dataset of a config's ``train_dataloader``; the config stays as it is."""
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmseg')):
        return DATASETS.build(copy.deepcopy(cfg.train_dataloader['dataset']))


def inside(dataset: Any) -> list:
    """Return what a dataset wraps."""
    found = [getattr(dataset, 'dataset', None), *(getattr(dataset, 'datasets', None) or ())]
    return [part for part in found if part is not None]


def walk(dataset: Any) -> Iterator[Any]:
    """Yield a dataset and those inside, each before what it wraps."""
    yield dataset
    for part in inside(dataset):
        yield from walk(part)


def innermost(dataset: Any, index: int) -> tuple[Any, int]:
    """Return the innermost dataset and the index in it that ``dataset[index]`` comes from."""
    while inside(dataset):
        if isinstance(dataset, ConcatDataset):
            part, index = dataset._get_ori_dataset_idx(index)
            dataset = dataset.datasets[part]
        else:
            if hasattr(dataset, '_get_ori_dataset_idx'):
                index = dataset._get_ori_dataset_idx(index)
            dataset = dataset.dataset
    return dataset, index


def with_steps(dataset: Any, change: Callable[[list, str], list]) -> Any:
    """Return a copy of a dataset in which other transforms take the place of the pipeline's.

    Args:
        dataset: itself, or what it wraps, has a pipeline.
        change: gives the transforms, from those that are there and the dataset's name.

    Raises:
        ValueError: there is no pipeline.
    """
    own, name = copy.copy(dataset), type(dataset).__name__
    if hasattr(dataset, 'pipeline'):
        own.pipeline = Compose(change(dataset.pipeline.transforms, name))
    elif hasattr(dataset, 'datasets'):
        own.datasets = [with_steps(part, change) for part in dataset.datasets]
    elif hasattr(dataset, 'dataset'):
        own.dataset = with_steps(dataset.dataset, change)
    else:
        raise WrongValue(f'{name} has no pipeline, in which the image of the views could be seen')
    return own
