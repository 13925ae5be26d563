"""Datasets of an evaluation: built, dealt to the processes, and their labels."""
from __future__ import annotations

from collections.abc import Iterator, Sized

from mmengine.dist import get_dist_info
from mmengine.registry import DATASETS
from mmseg.structures import SegDataSample
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from mmdense.datasets.label_maps import IGNORE
from mmdense.mistakes import WrongValue


def build_dataset(dataloader: dict, part: str) -> Dataset:
    """Build the dataset of a dataloader's config; ``part`` is its name in messages.

    Raises:
        ValueError: it has no images (mmengine itself fails somewhere in numpy).
    """
    try:
        dataset = DATASETS.build(dataloader['dataset'])
        if hasattr(dataset, 'full_init'):
            dataset.full_init()
    except ValueError as error:
        if 'need at least one array' not in str(error):
            raise
        cfg = dataloader['dataset']
        raise WrongValue(f"the {part} dataset ({cfg['type']}, data_root={cfg.get('data_root')}, "
                         f"data_prefix={cfg.get('data_prefix')}) has no images") from None
    return dataset


def check_datasets(memory: object, query: object) -> int:
    """Return the number of classes that memory and query datasets share.

    Raises:
        ValueError: no classes, or different ones.
    """
    names = [dataset.metainfo.get('classes') if hasattr(dataset, 'metainfo') else None
             for dataset in (memory, query)]
    for part, dataset, classes in zip(('memory', 'query'), (memory, query), names, strict=True):
        if not classes:
            raise WrongValue(f'the {part} dataset ({type(dataset).__name__}) of dense k-NN has '
                             "no metainfo 'classes'; a labelled mmseg dataset is needed")
    if tuple(names[0]) != tuple(names[1]):
        raise WrongValue('memory and query datasets of dense k-NN have different classes: '
                         f'{tuple(names[0])} and {tuple(names[1])}')
    return len(names[0])


def label_map(sample: SegDataSample, num_classes: int) -> Tensor:
    """Return the labels (H, W) int64 of a sample, 255 = ignored.

    Raises:
        ValueError: it has none, or an id that is neither a class nor 255.
    """
    if 'gt_sem_seg' not in sample:
        raise WrongValue(f"{sample.get('img_path')} comes without labels: dense k-NN needs "
                         'LoadAnnotations before PackSegInputs')
    labels = sample.gt_sem_seg.data[0].long()
    wrong = labels[(labels != IGNORE) & ((labels < 0) | (labels >= num_classes))]
    if len(wrong):
        raise WrongValue(f"{sample.get('seg_map_path')}: label {int(wrong.max())} is outside the "
                         f'{num_classes} classes (0 to {num_classes - 1}, and {IGNORE} for '
                         'ignored pixels)')
    return labels


class ConsecutiveBatches(Sampler[int]):
    """Whole batches 0, 1, 2, … of a dataset, dealt to the processes in turn, each image once.

    A batch holds the same images however many processes there are, so its statistics do too.
    """

    def __init__(self, dataset: Sized, batch_size: int) -> None:
        self.rank, self.world_size = get_dist_info()
        self.size, self.batch_size = len(dataset), batch_size

    def __iter__(self) -> Iterator[int]:
        step = self.batch_size * self.world_size
        for start in range(self.rank * self.batch_size, self.size, step):
            yield from range(start, min(start + self.batch_size, self.size))

    def __len__(self) -> int:
        return sum(1 for _ in self)
