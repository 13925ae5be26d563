"""Which classes a set of label maps shows: a class that never occurs makes a score look good."""
from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from mmcv.transforms import LoadAnnotations
from mmengine.dist import all_reduce, get_dist_info
from rich.console import Console
from rich.progress import track
from torch import Tensor

from mmdense.mistakes import WrongValue

from .built_datasets import inside, walk
from .label_maps import IGNORE

#: a single class in more label maps than this is an error, in fewer a warning
FEW_MAPS = 20
#: label maps that are read before a training, spread over the set
SAMPLE = 200
_THREADS = 8


class LabelCounts:
    """Pixels of each class in a set of label maps.

    Args:
        classes: their names, or as many numbers.
        what: the name of the set in messages.
        ignore_index: the label of ignored pixels beside 255.
    """

    def __init__(self, classes: Sequence[str] | range, what: str,
                 ignore_index: int = IGNORE) -> None:
        self.classes, self.what, self.ignore_index = list(classes), what, ignore_index
        self.maps, self.pixels = 0, torch.zeros(256, dtype=torch.int64)

    def add(self, labels: Tensor | np.ndarray) -> None:
        """Count a label map of any shape, values 0 to 255."""
        labels = torch.as_tensor(labels).flatten().long()
        self.maps += 1
        self.pixels += torch.bincount(labels, minlength=256)[:256].cpu()

    def reduce(self) -> None:
        """Add up what the processes counted; each has the sum afterwards."""
        total = torch.cat([self.pixels, torch.tensor([self.maps])])
        all_reduce(total, 'sum')
        self.pixels, self.maps = total[:256], int(total[256])

    @property
    def by_class(self) -> Tensor:
        """(C,) int64 pixels of each class; those with ``ignore_index`` count for none."""
        pixels = self.pixels[:len(self.classes)].clone()
        if self.ignore_index < len(pixels):
            pixels[self.ignore_index] = 0
        return pixels

    @property
    def ignored(self) -> float:
        """Share of the pixels that count for no class."""
        return 1 - int(self.by_class.sum()) / max(int(self.pixels.sum()), 1)

    def judge(self, learnt: bool, allow_one_class: bool | None = None) -> tuple[int, str]:
        """Return the level of a log line and the line: share of ignored pixels, absent classes.

        Args:
            learnt: whether the set is learnt from. One that is only measured may truly lack one
                of two classes, if it has no ignored pixels that could be that class.
            allow_one_class: a warning, however many maps show a single class; None where there
                is no such setting.

        Raises:
            ValueError: no pixel has a class, or all have the same in more than ``FEW_MAPS`` maps.
        """
        shown = [name for name, pixels in zip(self.classes, self.by_class.tolist(), strict=True)
                 if pixels]
        number = len(self.classes)
        if not shown:
            raise WrongValue(
                f'no pixel of the {self.maps} label maps of {self.what} is labelled with one of '
                f'the {number} classes; is the folder of the labels the right one?')
        line = f'labels of {self.what}: {self.maps} maps, {self.ignored:.1%} of the pixels ignored'
        absent = [name for name in self.classes if name not in shown]
        if not absent:
            return logging.INFO, f'{line}, every class occurs'
        if len(shown) > 1:
            some = ', '.join(map(str, absent[:20])) + (' …' if len(absent) > 20 else '')
            return logging.INFO, f'{line}; {len(absent)} of {number} classes never occur: {some}'
        line = (f'{line}; {shown[0]} is the only one of {number} classes that occurs, so any '
                'network scores well')
        if self.ignored:
            line += ('. 255 is ignored: rewrite masks of 0 and 255 with the numbers of '
                     f'the classes, 0..{number - 1}')
        suspect = learnt or number > 2 or self.ignored > 0
        if self.maps > FEW_MAPS and suspect and not allow_one_class:
            way_out = '' if allow_one_class is None else (
                " (custom_hooks=[dict(type='mmdense.LabelCountsHook', allow_one_class=True)] lets "
                'it pass)')
            raise WrongValue(f'{line}; expected two classes or more in {self.maps} label maps'
                             f'{way_out}')
        return logging.WARNING, line


def ignore_index_of(dataset: Any) -> int:
    """Return the ``ignore_index`` of a dataset, or of the first that it wraps; else 255."""
    return next((part.ignore_index for part in walk(dataset) if hasattr(part, 'ignore_index')),
                IGNORE)


def label_readers(dataset: Any) -> Iterator[tuple[Any, LoadAnnotations]]:
    """Yield each dataset inside ``dataset``, or itself, whose pipeline reads label maps."""
    for step in getattr(getattr(dataset, 'pipeline', None), 'transforms', ()):
        if isinstance(step, LoadAnnotations) and step.with_seg:
            yield dataset, step
            return
    for part in inside(dataset):
        yield from label_readers(part)


def spread(total: int, chunk: int) -> list[np.ndarray]:
    """Return 0..total - 1 in parts of ``chunk``, each spread over the whole."""
    step = max(-(-total // chunk), 1)
    order = np.concatenate([np.arange(first, total, step) for first in range(step)])
    return [order[start:start + chunk] for start in range(0, total, chunk)]


def count_before(dataset: Any, counts: LabelCounts) -> None:
    """Read ``SAMPLE`` label maps of a dataset, and only them, into ``counts``.

    Where they show a single class, all others are read as well, until there is a second one. The
    processes share the work.

    Raises:
        LabelMapError: a label map that is not what the dataset says.
    """
    rank, world_size = get_dist_info()
    places = [(part, step, number) for part, step in label_readers(dataset)
              for number in range(len(part))]
    fallback = dict(num_classes=len(counts.classes))

    def read(place: int) -> np.ndarray:
        part, step, number = places[place]
        info = part.get_data_info(number)
        if info.get('num_classes') is None:
            info.update(fallback)
        return step.transform(info)['gt_seg_map']

    with ThreadPoolExecutor(_THREADS) as pool:
        for chunk in spread(len(places), SAMPLE):
            own = LabelCounts(counts.classes, counts.what, counts.ignore_index)
            mine = chunk[rank::world_size].tolist()
            for labels in track(pool.map(read, mine), f'labels of {counts.what}', len(mine),
                                transient=True, disable=rank > 0, console=Console(stderr=True)):
                own.add(labels)
            own.reduce()
            counts.pixels, counts.maps = counts.pixels + own.pixels, counts.maps + own.maps
            if (counts.by_class > 0).sum() > 1:
                break
