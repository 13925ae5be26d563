"""Whole images by a frozen network: pooled maps, and a linear layer on them."""
from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mmdense.datasets.listing import list_folder
from mmdense.images.reading import read_image
from mmdense.mistakes import MissingFile, WrongValue

from .feature_cache import layer_index
from .features import FrozenEncoder, recalibrate_bn
from .linear_probe import fit_linear_probe

#: names of the folder of images that are classified
QUERIES = ('val', 'test')
#: layouts of CIFAR's own files, by their folder, and the dataset of mmpretrain that reads them
CIFAR = {'cifar-10-batches-py': 'CIFAR10', 'cifar-100-python': 'CIFAR100'}


@dataclass
class ClassifiedImages:
    """Images of one part of a set, each of one class.

    Attributes:
        images: paths, or arrays (H, W, 3) BGR.
        labels: (N,) int64.
        classes: their names.
    """
    images: Sequence[str] | np.ndarray
    labels: Tensor
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, numbers: Sequence[int], size: int) -> Tensor:
        """Return images (B, 3, size, size) on their own scale, resized (bilinear, antialias).

        Raises:
            ImageReadError: a file cannot be read.
        """
        found = []
        for number in numbers:
            image = self.images[number]
            image = read_image(image) if isinstance(image, str) else image
            pixels = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None]
            found.append(F.interpolate(pixels.float(), (size, size), mode='bilinear',
                                       align_corners=False, antialias=True))
        return torch.cat(found)


def read_folders(root: Path, part: str) -> ClassifiedImages:
    """Return the images of ``root/part``, a folder of which is a class.

    Raises:
        FileNotFoundError: it has no folders, or one of them no image.
    """
    folders = sorted(path for path in (root / part).iterdir() if path.is_dir())
    if not folders:
        raise MissingFile(f'{root / part} has no folders; expected one for each class')
    paths, labels = [], []
    for label, folder in enumerate(folders):
        names = list_folder(str(folder)).names
        paths += [os.path.join(folder, name) for name in names]
        labels += [label] * len(names)
    return ClassifiedImages(paths, torch.tensor(labels), tuple(path.name for path in folders))


def read_cifar(root: Path, kind: str, split: str) -> ClassifiedImages:
    """Return a part of CIFAR-10 or -100 in its own files, whose checksums are compared.

    Raises:
        ValueError: a file is not there, or another than the published one.
    """
    import mmpretrain.datasets
    try:
        found = getattr(mmpretrain.datasets, kind)(str(root), split, download=False,
                                                   test_mode=split == 'test')
        found.full_init()
    except (RuntimeError, AssertionError) as error:
        raise WrongValue(f'{root}: the files of {kind} are not the published ones '
                         f'({str(error).splitlines()[0]})') from None
    infos = [found.get_data_info(number) for number in range(len(found))]
    images = np.stack([info['img'] for info in infos])[..., ::-1]
    return ClassifiedImages(images, torch.tensor([info['gt_label'] for info in infos]),
                            tuple(found.metainfo['classes']))


def read_classified(root: str) -> tuple[ClassifiedImages, ClassifiedImages]:
    """Return the training images of a set and those to be classified.

    Args:
        root: a folder of CIFAR's own files, or one with ``train`` and ``val`` or ``test``, each
            with a folder for every class.

    Raises:
        FileNotFoundError, ValueError: it is neither, or the parts have different classes.
    """
    folder = Path(root)
    for name, kind in CIFAR.items():
        if (folder / name).is_dir():
            return read_cifar(folder, kind, 'train'), read_cifar(folder, kind, 'test')
    other = next((name for name in QUERIES if (folder / name).is_dir()), None)
    if other is None or not (folder / 'train').is_dir():
        raise MissingFile(f'{root}: expected folders train and val (or test), each with a folder '
                          f'for every class, or CIFAR\'s {" or ".join(CIFAR)}')
    train, queries = read_folders(folder, 'train'), read_folders(folder, other)
    if train.classes != queries.classes:
        raise WrongValue(f'{root}: train has the classes {", ".join(train.classes)}, and {other} '
                         f'{", ".join(queries.classes)}; expected the same folders')
    return train, queries


@torch.no_grad()
def pooled(encoder: FrozenEncoder, part: ClassifiedImages, layers: Sequence[str], size: int,
           batch_size: int, progress: Callable[[int], None]) -> dict[str, Tensor]:
    """Return the mean over the cells of each layer's map, (N, C) by layer."""
    numbers = [layer_index(encoder, layer) for layer in layers]
    rows: dict[str, list[Tensor]] = {layer: [] for layer in layers}
    for start in range(0, len(part), batch_size):
        chosen = range(start, min(start + batch_size, len(part)))
        maps = encoder.layers(part.batch(chosen, size), numbers)
        for layer, one in zip(layers, maps, strict=True):
            rows[layer].append(one.mean((2, 3)).cpu())
        progress(len(chosen))
    return {layer: torch.cat(found) for layer, found in rows.items()}


def accuracy(scores: Tensor, labels: Tensor) -> float:
    """Return the share (per cent) of rows (N, C) whose highest score is their label's (N,)."""
    return round(100 * (scores.argmax(1) == labels).float().mean().item(), 2)


def classify(encoder: FrozenEncoder, train: ClassifiedImages, queries: ClassifiedImages,
             layers: Sequence[str] = ('last',), size: int = 128, batch_size: int = 64,
             recalibrate: bool = True, seed: int = 0,
             progress: Callable[[int], None] = lambda count: None) -> dict[str, dict[str, float]]:
    """Return, by layer, the accuracy (per cent) of a linear layer on pooled maps.

    The layer is :func:`fit_linear_probe`, with BatchNorm before it, trained on the pooled maps of
    the training images as they are.

    Args:
        encoder: BatchNorm's statistics are estimated anew where ``recalibrate``.
        train, queries: to learn from, and to be classified.
        layers: names as of :func:`layer_index`.
        size: (side) to which images are resized, in pixels.
        batch_size: images in a pass.
        recalibrate: estimate BatchNorm's statistics on the first training images, drawn at random.
        seed: of the order of images and cells.
        progress: is called with the number of images that passed.

    Returns:
        ``accuracy``, ``train_accuracy`` and ``majority`` (always the class that the training
        images have most often).
    """
    if recalibrate:
        order = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed)).tolist()
        recalibrate_bn(encoder, ([*train.batch(order[start:start + batch_size], size)]
                                 for start in range(0, min(len(order), 1024), batch_size)))
    parts = [pooled(encoder, part, layers, size, batch_size, progress)
             for part in (train, queries)]
    common = torch.bincount(train.labels).argmax()
    majority = round(100 * (queries.labels == common).float().mean().item(), 2)
    found = {}
    for layer in layers:
        own, asked = (part[layer] for part in parts)
        probe = fit_linear_probe(own, F.one_hot(train.labels, len(train.classes)), seed=seed)
        found[layer] = dict(accuracy=accuracy(probe(asked), queries.labels),
                            train_accuracy=accuracy(probe(own), train.labels), majority=majority)
    return found
