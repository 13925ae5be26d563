"""Feature maps of a dataset by a frozen encoder, extracted once and kept in files."""
from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from mmengine.logging import print_log
from torch import Tensor, nn
from torch.utils.data import Dataset

from mmdense.checkpoints import read_checkpoint
from mmdense.digests import digest, tensors_digest
from mmdense.files import whole_file
from mmdense.mistakes import WrongValue
from mmdense.models.building import BlackImage
from mmdense.models.maps import backbone_maps
from mmdense.random_states import kept_random_state

from .features import RECALIBRATION_IMAGES, FrozenEncoder
from .passes import maps_of, recalibrate_on
from .sources import LabelledImages, ViewPairs

#: strides of the maps that are named so
STRIDES = {f'C{number}': 2 ** number for number in (2, 3, 4, 5)}
#: counts up when the files' content, or how maps are made from images, changes
FORMAT = 2


def encoder_key(encoder: FrozenEncoder) -> str:
    """Return the sha256 of all that makes an encoder's maps: weights, structure, preprocessing.

    The structure is hashed as torch prints it (strides and dilations are in it), the buffers with
    those that no state dict has (the preprocessor's mean and std).
    """
    settings = {name: value for name, value in vars(encoder.preprocessor).items()
                if isinstance(value, (bool, int, float, str, tuple)) and name != 'training'}
    return digest(tensors_digest(encoder, str(encoder)), settings)


def strides_of(backbone: nn.Module) -> list[int]:
    """Return the stride of each map of a backbone that gives several; of others none."""
    black = BlackImage(dict(backbone=backbone))
    maps = black.ask(lambda net, image: backbone_maps(net.backbone, image))
    if isinstance(maps, Tensor) or len(maps) < 2 or any(one.ndim != 4 for one in maps):
        return []
    return [round(black.shape[-1] / one.shape[-1]) for one in maps]


def layer_index(encoder: FrozenEncoder, layer: str) -> int | str:
    """Return the ``out_index`` that a name means: ``last``, ``C2`` to ``C5``, or a place.

    ``last`` is the encoder's own: the map that its model learns on. ``C2`` to ``C5`` are the stages
    of a ResNet; of another backbone of several maps the last of stride 4, 8, 16 and 32.

    Raises:
        ValueError: a name that this encoder has no map for.
    """
    if layer == 'last':
        return encoder.out_index
    if layer in encoder.stages:
        return layer
    if layer.isdigit():
        return int(layer)
    if layer in STRIDES and not encoder.stages and encoder.decode_head is None:
        found = [number for number, stride in enumerate(strides_of(encoder.backbone))
                 if stride == STRIDES[layer]]
        if found:
            return found[-1]
    what = type(encoder.backbone).__name__
    if encoder.decode_head is not None:
        what += f' with {type(encoder.decode_head).__name__}'
    raise WrongValue(f'layer {layer!r}: {what} has no such map; expected '
                     + ', '.join([*encoder.stages, "'last' or the place of a map (0, 1, …)"]))


@dataclass
class LayerMaps:
    """One layer's maps of all items of a source, in order.

    Attributes:
        maps: (C, h, w) float32 each.
        beside: what the source gives with each image, such as ``labels``.
    """
    maps: list[Tensor]
    beside: list[dict[str, Tensor]]


def write_cached(content: dict, path: Path) -> None:
    """Write a file of the cache, as :func:`~mmdense.files.whole_file` does."""
    with whole_file(path, what='feature cache') as file:
        torch.save(content, file)


def read_cached(path: Path, key: str) -> LayerMaps | None:
    """Return what a file of the cache holds; None, and a warning, if it is broken or another's."""
    if not path.is_file():
        return None
    try:
        content = read_checkpoint(path)
        if content.get('key') == key:
            return LayerMaps(content['maps'], content['beside'])
        problem = f'it holds the key {str(content.get("key"))[:12]}'
    except (ValueError, KeyError, OSError) as error:
        problem = str(error)
    print_log(f'feature cache {path} is not used and made again: {problem}', 'current',
              logging.WARNING)
    return None


class FeatureExtractor:
    """Maps of a frozen encoder, from the cache's files where they are, else from one pass.

    A file is named after the sha256 of weights, structure and preprocessing of the encoder, of
    the BatchNorm re-estimation, of layer and source (paths, sizes and times of its files, dataset
    config) and of the code's format.

    Args:
        encoder: is owned from here on; its BatchNorm statistics may change.
        folder: of the cache; None keeps nothing.
        bn_images: re-estimate BatchNorm statistics on these images before the first pass.
        batch_size: images in a pass; with ``bn_images`` also in a batch of statistics.
        num_workers: of the data loader.
    """

    def __init__(self, encoder: FrozenEncoder, folder: str | Path | None = None,
                 bn_images: LabelledImages | None = None, batch_size: int = 8,
                 num_workers: int = 0) -> None:
        self.encoder, self.folder = encoder, None if folder is None else Path(folder)
        self.bn_images, self.batch_size, self.num_workers = bn_images, batch_size, num_workers
        # before the statistics change: a run that finds all in the cache never re-estimates them
        bn = None if bn_images is None else (bn_images.key, batch_size, RECALIBRATION_IMAGES)
        self.key = digest(FORMAT, encoder_key(encoder), bn)

    def extract(self, source: LabelledImages | ViewPairs, layers: Sequence[str],
                progress: Callable[[], None] = lambda: None) -> dict[str, LayerMaps]:
        """Return the maps of a source's items, by layer.

        Args:
            source: of images.
            layers: names as of :func:`layer_index`; those not in the cache share one pass.
            progress: is called after each image of a pass.

        Raises:
            ValueError: a layer that is not there, or what the source raises.
            OSError: a file of the cache could not be written.
        """
        numbers = {layer: layer_index(self.encoder, layer) for layer in layers}
        keys = {layer: digest(self.key, source.key, number) for layer, number in numbers.items()}
        found = {layer: self.folder and read_cached(self._path(key), key)
                 for layer, key in keys.items()}
        absent = [layer for layer in numbers if found[layer] is None]
        if absent:
            made = self._run(source, [numbers[layer] for layer in absent], progress)
            for layer, maps in zip(absent, made, strict=True):
                found[layer] = maps
                if self.folder:
                    write_cached(dict(key=keys[layer], maps=maps.maps, beside=maps.beside),
                                 self._path(keys[layer]))
        return found

    def _path(self, key: str) -> Path:
        return self.folder / f'{key}.pth'

    @torch.no_grad()
    def _run(self, source: Dataset, numbers: list[int | str],
             progress: Callable[[], None]) -> list[LayerMaps]:
        given = self.batch_size, self.num_workers
        rows: list[tuple[list[Tensor], dict]] = [None] * len(source)
        with kept_random_state():
            if self.bn_images is not None:
                recalibrate_on(self.encoder, self.bn_images, *given)
                self.bn_images = None
            for number, maps, beside in maps_of(self.encoder, source, *given, numbers):
                rows[number] = [one.cpu().clone() for one in maps], beside
                progress()
        beside = [one for _, one in rows]
        return [LayerMaps([maps[own] for maps, _ in rows], beside) for own in range(len(numbers))]
