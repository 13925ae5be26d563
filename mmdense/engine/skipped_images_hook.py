"""Tell, at the end of a training run, which images were passed over."""
from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner

from mmdense.datasets.checks import name_some
from mmdense.datasets.unlabelled import UnlabelledDataset
from mmdense.registry import HOOKS

_MOST_NAMES = 20


def unlabelled_datasets(dataset: Any) -> Iterator[UnlabelledDataset]:
    """Yield the unlabelled datasets inside ``dataset``, itself or those it wraps."""
    if isinstance(dataset, UnlabelledDataset):
        yield dataset
        return
    inner = [getattr(dataset, 'dataset', None), *(getattr(dataset, 'datasets', None) or ())]
    for part in inner:
        if part is not None:
            yield from unlabelled_datasets(part)


@HOOKS.register_module()
class SkippedImagesHook(Hook):
    """Log the number and names of the images that ``on_error='skip'`` passed over.

    The marks of all processes are put together, so every process must have the hook. It says
    nothing about datasets with ``on_error='raise'``.
    """

    def after_train(self, runner: Runner) -> None:
        """Log one line for each unlabelled dataset."""
        for dataset in unlabelled_datasets(runner.train_dataloader.dataset):
            if dataset.on_error != 'skip':
                continue
            marks = dataset.unreadable.to(torch.int32)
            all_reduce(marks, 'max')
            names = [dataset.get_data_info(int(index))['img_path']
                     for index in torch.nonzero(marks).flatten()]
            text = f'{len(names)} of {len(dataset)} images could not be read and were skipped'
            if names:
                text = f'{text}: {name_some(names, _MOST_NAMES)}'
            print_log(text, logger='current', level=logging.WARNING if names else logging.INFO)
