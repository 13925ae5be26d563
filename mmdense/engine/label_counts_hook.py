"""Say which classes the labels of a run show, before a training and after an evaluation."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner
from mmseg.models import BaseSegmentor

from mmdense.checkpoints.filled import bare
from mmdense.datasets.label_counts import (
    LabelCounts,
    count_before,
    ignore_index_of,
    label_readers,
)
from mmdense.registry import HOOKS


def labelled_samples(batch: Any) -> list:
    """Return the samples with label maps in a batch; of test time augmentation the first view's."""
    samples = batch.get('data_samples') if isinstance(batch, dict) else None
    if isinstance(samples, Sequence) and samples and isinstance(samples[0], Sequence):
        samples = samples[0]
    if not isinstance(samples, Sequence):
        return []
    return [sample for sample in samples if hasattr(sample, 'gt_sem_seg')]


def dataset_of(runner: Runner, part: str) -> Any:
    """Return the dataset of a runner's ``'train'``, ``'val'`` or ``'test'`` loop, or None."""
    loader = getattr(getattr(runner, f'{part}_loop'), 'dataloader', None)
    return getattr(loader, 'dataset', None)


@HOOKS.register_module()
class LabelCountsHook(Hook):
    """Log the share of ignored pixels and the classes that never occur, one line per dataset.

    Before a training up to 200 label maps are read, of the training set (if a segmentor is
    trained) and of the validation set; an evaluation counts those that it reads. Every runner
    has this hook once ``mmdense`` is imported.

    Args:
        allow_one_class: a warning instead of an error where a single class occurs.
    """
    priority = 'NORMAL'

    def __init__(self, allow_one_class: bool = False) -> None:
        self.allow_one_class = allow_one_class
        self.counts: dict[str, LabelCounts] = {}
        self.said: set[str] = set()

    def before_train(self, runner: Runner) -> None:
        """Read and judge labels of the training and of the validation set."""
        model = bare(runner.model)
        for part in ('train', 'val') if isinstance(model, BaseSegmentor) else ('val',):
            dataset = dataset_of(runner, part)
            if next(label_readers(dataset), None) is not None:
                counts = self._empty(part, dataset, getattr(model, 'num_classes', None))
                if counts.classes:
                    count_before(dataset, counts)
                    self._say(counts, part)

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None,
                       outputs: Any = None) -> None:
        self._count('val', runner, data_batch)

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None,
                        outputs: Any = None) -> None:
        self._count('test', runner, data_batch)

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        self._judge('val', runner)

    def after_test_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        self._judge('test', runner)

    @staticmethod
    def _empty(part: str, dataset: Any, num_classes: int | None = None) -> LabelCounts:
        classes = (getattr(dataset, 'metainfo', None) or {}).get('classes')
        return LabelCounts(classes or range(num_classes or 0), f'the {part} dataset',
                           ignore_index_of(dataset))

    def _count(self, part: str, runner: Runner, batch: Any) -> None:
        if part in self.said:
            return
        for sample in labelled_samples(batch):
            if part not in self.counts:
                self.counts[part] = self._empty(part, dataset_of(runner, part))
            # as the loader gave it: on the CPU
            self.counts[part].add(sample.gt_sem_seg.data)

    def _judge(self, part: str, runner: Runner) -> None:
        """Judge what was counted; all processes together, one of them may have had no image."""
        if part in self.said:
            return
        counts = self.counts.pop(part, None) or self._empty(part, dataset_of(runner, part))
        counts.reduce()
        if counts.maps and counts.classes:
            self._say(counts, part)

    def _say(self, counts: LabelCounts, part: str) -> None:
        self.said.add(part)
        level, line = counts.judge(learnt=part == 'train', allow_one_class=self.allow_one_class)
        print_log(line, 'current', level)
