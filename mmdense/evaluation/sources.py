"""Images that feature maps are made of: labelled ones, any, and pairs of views."""
from __future__ import annotations

import os
from collections.abc import Sized
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from mmdense.datasets.dataset_configs import inside, walk
from mmdense.datasets.transforms.geometric import RandomFlip, RandomResizedCrop
from mmdense.digests import digest
from mmdense.mistakes import MissingFile, WrongValue
from mmdense.random_states import kept_random_state

from .datasets import label_map

#: share of the image in a view of :class:`ViewPairs`, and by how much its shape may differ
VIEW_AREA = (0.4, 1.0)
VIEW_ASPECT = (3 / 4, 4 / 3)
#: images that are looked at without labels
IMAGES = 256


def describe(cfg: dict) -> str:
    """Return what names a dataset's config in a message: its class and where its files are."""
    cfg = next((part for part in walk(cfg) if part.get('data_root') or not inside(part)), cfg)
    known = [f'{key}={cfg[key]}' for key in ('data_root', 'data_prefix', 'ann_file')
             if cfg.get(key)]
    return ', '.join([str(cfg.get('type')), *known])


class LabelledImages(Dataset):
    """Images of a labelled mmseg dataset with their labels, and a key that says what they are.

    An item is the image (C, H, W) and ``dict(labels=(H', W') int16)``, 255 = ignored; the dict is
    empty where labels are optional and there are none.

    Args:
        dataset: built, its pipeline ends with ``PackSegInputs``.
        cfg: its config, for the key.
        num_classes: labels are below it; None = no labels are read.
        optional: images without labels are allowed.

    Raises:
        FileNotFoundError: a file of the dataset is not there.
        ValueError: from an item: no labels, or a label outside the classes.
    """

    def __init__(self, dataset: Any, cfg: dict, num_classes: int | None,
                 optional: bool = False) -> None:
        self.dataset, self.num_classes, self.optional = dataset, num_classes, optional
        self.description = describe(cfg)
        files = []
        for number in range(len(dataset)):
            info = dataset.get_data_info(number)
            files += [self._state(info[name]) for name in ('img_path', 'seg_map_path')
                      if info.get(name) and (name == 'img_path' or not optional
                                             or os.path.exists(info[name]))]
        self.key = digest('labelled images', cfg, num_classes, files)

    @staticmethod
    def _state(path: str) -> tuple[str, int, int]:
        try:
            found = os.stat(path)
        except OSError:
            raise MissingFile(f'{path}, which the dataset lists, is not there') from None
        return os.path.abspath(path), found.st_size, found.st_mtime_ns

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple[Tensor, dict[str, Tensor]]:
        sample = self.dataset[index]
        if self.num_classes is None or self.optional and 'gt_sem_seg' not in sample['data_samples']:
            return sample['inputs'], {}
        labels = label_map(sample['data_samples'], self.num_classes)
        return sample['inputs'], dict(labels=labels.short())


class RawImages(Dataset):
    """At most ``count`` images of any dataset, evenly chosen over it.

    An item is the image (C, H, W) and an empty dict: what :class:`ViewPairs` cuts views from.

    Args:
        dataset: its samples are dicts with a raw image under ``inputs``.
        count: None = all.

    Raises:
        ValueError: from an item: the sample holds no image.
    """
    key = ''      # nothing of it is ever cached

    def __init__(self, dataset: Sized, count: int | None = IMAGES) -> None:
        size = len(dataset)
        count = size if count is None else min(count, size)
        self.dataset = dataset
        self.numbers = [size * place // count for place in range(count)]

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> tuple[Tensor, dict]:
        sample = self.dataset[self.numbers[index]]
        image = sample.get('inputs') if isinstance(sample, dict) else None
        if not isinstance(image, Tensor) or image.ndim != 3:
            got = tuple(image.shape) if isinstance(image, Tensor) else type(image).__name__
            raise WrongValue(
                f"{type(self.dataset).__name__}: 'inputs' of sample {self.numbers[index]} is "
                f'{got}; expected one raw image (C, H, W): a pipeline of LoadImageFromFile and '
                'PackSegInputs, without views')
        return image, {}


class ViewPairs(Dataset):
    """Two random views of each image: crops at the image's own size, the second maybe mirrored.

    Items 2 i and 2 i + 1 are the views of image i: (C, H, W) and ``dict(box=(4,) float32
    half-open pixels of the image, flip=() bool)``. Nothing but the place changes.

    Args:
        images: what is cut; its items are an image (C, H, W) and a dict.
        seed: of the crops; the global random state is not changed.
    """

    def __init__(self, images: LabelledImages | RawImages, seed: int = 0) -> None:
        self.images, self.seed = images, seed
        self.key = digest('view pairs', images.key, seed, VIEW_AREA, VIEW_ASPECT)

    def __len__(self) -> int:
        return 2 * len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, dict[str, Tensor]]:
        image = self.images[index // 2][0].permute(1, 2, 0).numpy()
        height, width = image.shape[:2]
        aspect = [width / height * bound for bound in VIEW_ASPECT]
        with kept_random_state():
            np.random.seed((self.seed * 1_000_003 + index) % 2 ** 32)
            view = RandomResizedCrop((height, width), VIEW_AREA, aspect)(dict(img=image))
            view = RandomFlip(0.5 if index % 2 else 0.)(view)
        pixels = torch.from_numpy(np.ascontiguousarray(view['img'].transpose(2, 0, 1)))
        return pixels, dict(box=torch.from_numpy(view['box']), flip=torch.tensor(view['flip']))
