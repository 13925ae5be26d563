"""Log, at the end of a training run, which images were skipped."""
from __future__ import annotations

import logging

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner

from mmdense.datasets.built_datasets import walk
from mmdense.datasets.dataset_paths import name_some
from mmdense.datasets.unlabelled import UnlabelledDataset
from mmdense.registry import HOOKS

_MOST_NAMES = 20


def marked_images(dataset: UnlabelledDataset, marks: torch.Tensor) -> list[str]:
    """Return the paths of the images that any process has marked (len(dataset),)."""
    marks = marks.to(torch.int32)
    all_reduce(marks, 'max')
    return [dataset.get_data_info(int(index))['img_path']
            for index in torch.nonzero(marks).flatten()]


@HOOKS.register_module()
class SkippedImagesHook(Hook):
    """Log which images ``on_error='skip'`` skipped, and which the decoder reported as damaged.

    The marks of all processes are put together, so every process must have the hook. Of skipped
    images it says nothing with ``on_error='raise'``, of damage only where there was some. Damage
    is what decoders write (:mod:`mmdense.datasets.decoder_messages`) of an ``UnlabelledDataset``'s
    images: much of what is damaged in files without checksums they do not notice.
    """

    def after_train(self, runner: Runner) -> None:
        """Log a line, or two, for each unlabelled dataset."""
        for dataset in walk(runner.train_dataloader.dataset):
            if not isinstance(dataset, UnlabelledDataset):
                continue
            damaged = marked_images(dataset, dataset.warned)
            if damaged:
                print_log(f'{len(damaged)} of {len(dataset)} images are damaged, as their '
                          'decoder says, and were used as decoded (tools/check.py --files '
                          f'lists all): {name_some(damaged, _MOST_NAMES)}', logger='current',
                          level=logging.WARNING)
            if dataset.on_error != 'skip':
                continue
            names = marked_images(dataset, dataset.unreadable)
            text = f'{len(names)} of {len(dataset)} images could not be read and were skipped'
            if names:
                text = f'{text}: {name_some(names, _MOST_NAMES)}'
            print_log(text, logger='current', level=logging.WARNING if names else logging.INFO)
