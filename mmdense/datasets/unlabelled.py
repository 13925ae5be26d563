"""Images without labels: a folder, a list, or any other dataset whose labels are dropped."""
from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import mmseg.datasets  # noqa: F401  (registers the stock datasets that a config may wrap)
import numpy as np
import torch
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log
from mmengine.registry import DefaultScope
from mmseg.registry import DATASETS as MMSEG_DATASETS

from mmdense.images.reading import IMAGE_SUFFIXES, ImageReadError
from mmdense.mistakes import MissingFile, WrongValue
from mmdense.registry import DATASETS

from .dataset_configs import inside
from .dataset_paths import (
    absent_files,
    check_dataset_paths,
    name_some,
    without_pipelines,
)
from .decoder_messages import decoder_messages
from .listing import list_folder, list_named
from .path_list import PathList, Samples, kept_file, shared_paths

_TOLD_AT_ONCE = 5
_WRAPPERS = ('ConcatDataset', 'RepeatDataset', 'ClassBalancedDataset', 'MultiImageMixDataset')


def find_images(folder: str, recursive: bool = True) -> list[str]:
    """Return the image files in ``folder``, as :func:`list_folder` lists them.

    Raises:
        OSError: as :func:`list_folder`.
    """
    return [os.path.join(folder, name) for name in list_folder(folder, recursive).names]


def _parts(dataset_cfg: dict) -> Iterator[dict]:
    """Yield the datasets that hold a config's images, without wrappers that only repeat or join.

    A ConcatDataset refuses parts of different classes, which do not matter here.
    """
    kind = dataset_cfg['type'] if isinstance(dataset_cfg, dict) else None
    kind = str(getattr(kind, '__name__', kind)).rpartition('.')[2]
    if kind in _WRAPPERS:
        for part in inside(dataset_cfg):
            yield from _parts(part)
    else:
        yield dataset_cfg


def wrapped_images(dataset_cfg: dict) -> list[str]:
    """Return the image paths of any dataset config, each once, in the dataset's order.

    Raises:
        FileNotFoundError: see :func:`mmdense.datasets.dataset_paths.check_dataset_paths`.
        ValueError: its samples have no ``img_path``.
    """
    check_dataset_paths(dataset_cfg, 'UnlabelledDataset', labels=False)
    paths: dict[str, None] = {}
    for part in _parts(dataset_cfg):
        scope = DefaultScope.get_current_instance()
        # datasets inside a wrapper of mmengine's are looked up in the default scope
        with DefaultScope.overwrite_default_scope(scope.scope_name if scope else 'mmseg'):
            dataset = MMSEG_DATASETS.build(without_pipelines(part))
        samples = [dataset.get_data_info(index) for index in range(len(dataset))]
        if samples and 'img_path' not in samples[0]:
            raise WrongValue(f'UnlabelledDataset: samples of {part["type"]} hold '
                             f'{sorted(samples[0])}; expected img_path among them')
        paths.update(dict.fromkeys(sample['img_path'] for sample in samples))
    paths = list(paths)
    absent = absent_files(path for path in paths if '://' not in path)
    if absent:
        raise MissingFile(f'UnlabelledDataset: {len(absent)} of {len(paths)} images of '
                          f'{dataset_cfg["type"]} are not there: {name_some(absent)}')
    return paths


@DATASETS.register_module()
class UnlabelledDataset(BaseDataset):
    """Unlabelled images of a folder, a list file, or any other dataset's config.

    Samples hold ``img_path`` and, from ``BaseDataset``, ``sample_idx``, the image's index.

    Args:
        data_root: joined before ``data_prefix`` and ``ann_file``.
        data_prefix: ``img_path`` is the folder of images, searched if there is no ``ann_file``.
        ann_file: list of images, one path a line, see :func:`~mmdense.datasets.lists.read_list`.
        dataset: config of a dataset, mmseg's or another, whose labels are dropped.
        pipeline: transforms of a sample.
        recursive: whether folders in the folder are searched.
        on_error: what an unreadable image does: ``'raise'``, or ``'skip'``, which takes another
            image in its place, drawn from numpy's random stream as it is in the pipeline (so the
            same on every run when the pipeline begins with ``mmdense.SeedSample``).
        max_errors: with ``'skip'``, how many different files may be unreadable, by default 1 % of
            the set but at least 10; counted over all workers of a process.
        serialize_data: keep a pickle of each sample, as mmengine's datasets do, instead of one
            list of paths that the processes of a machine share.
        **kwargs: see mmengine's ``BaseDataset``.

    Raises:
        FileNotFoundError, ValueError: nothing to read; the message says where it was looked for.
        ImageReadError: an unreadable image, or with ``'skip'`` too many of them.
    """

    def __init__(self, data_root: str | None = None, data_prefix: dict | None = None,
                 ann_file: str = '', dataset: dict | None = None, pipeline: Sequence[dict] = (),
                 recursive: bool = True, on_error: str = 'raise', max_errors: int | None = None,
                 serialize_data: bool = False, **kwargs: Any) -> None:
        if on_error not in ('raise', 'skip'):
            raise WrongValue(
                f"UnlabelledDataset: on_error={on_error!r}; expected 'raise' or 'skip'")
        prefix = dict(data_prefix or dict(img_path=''))
        files = data_root or prefix.get('img_path') or ann_file
        if bool(files) == (dataset is not None):
            raise WrongValue(
                'UnlabelledDataset: expected either a folder (data_root, data_prefix.img_path), '
                f'perhaps with a list (ann_file), or a dataset; got {"both" if files else "none"}')
        self.wrapped, self.recursive = dataset, recursive
        self.on_error, self.max_errors = on_error, max_errors
        super().__init__(ann_file=ann_file, data_root=data_root or '', data_prefix=prefix,
                         pipeline=list(pipeline), serialize_data=serialize_data, **kwargs)

    def load_data_list(self) -> Sequence[dict]:
        """Return one dict with ``img_path`` for each image."""
        folder = self.data_prefix.get('img_path') or self.data_root
        where = os.path.realpath(folder)
        if self.wrapped is not None:
            paths = PathList.pack('', wrapped_images(self.wrapped))
        elif self.ann_file:
            kept = kept_file(where, os.path.realpath(self.ann_file))
            paths = shared_paths(kept, folder, partial(list_named, self.ann_file, folder))
        else:
            kept = kept_file(where, self.recursive, IMAGE_SUFFIXES)
            paths = shared_paths(kept, folder, partial(list_folder, folder, self.recursive))
        return list(Samples(paths)) if self.serialize_data else Samples(paths)

    def _get_unserialized_subset(self, indices: int | Sequence[int]) -> Sequence[dict]:
        if isinstance(self.data_list, Samples) and isinstance(indices, Sequence):
            return Samples(self.data_list.paths.take(indices))
        return super()._get_unserialized_subset(indices)

    def full_init(self) -> None:
        """List the images and make room for the marks of unreadable ones."""
        if self._fully_initialized:
            return
        super().full_init()
        # in shared memory, so that the workers' marks add up
        self.unreadable = torch.zeros(len(self), dtype=torch.uint8).share_memory_()
        #: images whose decoder spoke of damage and gave pixels nevertheless
        self.warned = torch.zeros(len(self), dtype=torch.uint8).share_memory_()
        if self.max_errors is None:
            self.max_errors = max(10, len(self) // 100)

    def unreadable_paths(self) -> list[str]:
        """Return the files found unreadable so far, by all workers of this process."""
        return [self.get_data_info(int(index))['img_path']
                for index in torch.nonzero(self.unreadable).flatten()]

    def prepare_data(self, idx: int) -> dict:
        """Return the sample ``idx`` after the pipeline, or another for an unreadable image."""
        while True:
            try:
                with decoder_messages() as messages:
                    sample = super().prepare_data(idx)
                if messages:
                    self.warned[idx] = 1
                return sample
            except ImageReadError as error:
                if self.on_error == 'raise':
                    raise
                self._mark(idx, str(error))
            # a plain int: a SampleIndex would start the random stream again, and draw the same
            idx = int(np.random.randint(len(self)))

    def _mark(self, idx: int, message: str) -> None:
        if not self.unreadable[idx]:
            self.unreadable[idx] = 1
            if self.unreadable.sum() <= _TOLD_AT_ONCE:
                print_log(f'skipped: {message}', logger='current', level=logging.WARNING)
        count = int(self.unreadable.sum())
        limit = min(self.max_errors, len(self) - 1)
        if count > limit:
            raise ImageReadError(
                f'UnlabelledDataset: {count} of {len(self)} images cannot be read, expected at '
                f'most {limit} (max_errors={self.max_errors}): '
                f'{name_some(self.unreadable_paths())}; the last: {message}') from None
