"""Look at the images that a config trains on: their numbers, and whether they are images at all."""
from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from torch import nn

from mmdense.datasets.built_datasets import build_training_set, innermost
from mmdense.datasets.transforms import LoadImage
from mmdense.images.reading import ImageReadError, read_image

from .bands_hook import first_convolution
from .finding import Finding

#: images that are loaded, and paths that are looked through
LOADED, LISTED = 16, 20_000
#: pixels per side of a loaded image that numbers are taken from
_SIDE = 128
#: a picture of no more colours than this looks like a label map
_FEW_COLOURS = 32
_MASK_FOLDERS = {'mask', 'masks', 'label', 'labels', 'labelids', 'annotation', 'annotations', 'gt',
                 'gtfine', 'gtcoarse', 'groundtruth', 'ground_truth', 'seg', 'segmentation',
                 'segmentationclass', 'segmentationclassaug', 'segmentationobject'}
_MASK_ENDINGS = ('_mask', '_masks', '_label', '_labels', '_seg', '_gt', '-mask', '-label')


@dataclass
class Looked:
    """What was found in a sample of images, as the config's loader gives them.

    Attributes:
        paths: of images that were listed, in the dataset's order.
        loaded: paths of images that were loaded.
        pixels: of each of these, (n, C) of the loader's numbers.
        errors: what was said of images that cannot be read.
        root: folder of the dataset, or ''.
        cut: shares of each image's numbers below and above the loader's ``value_range``, if any.
    """
    paths: list[str]
    loaded: list[str] = field(default_factory=list)
    pixels: list[np.ndarray] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    root: str = ''
    cut: list[tuple[float, float]] = field(default_factory=list)


def load_as_configured(dataset: Any, index: int) -> np.ndarray | None:
    """Return the image (H, W, C) of ``dataset[index]`` as its pipeline's loader gives it."""
    inner, index = innermost(dataset, index)
    results = inner.get_data_info(index)
    for transform in inner.pipeline.transforms:
        results = transform(results)
        if results is None or 'img' in results:
            return None if results is None else results['img']
    return None


def _cut_off(path: str, dataset: Any) -> list[tuple[float, float]]:
    """Return the shares of an image's own numbers below and above its loader's range, if it has."""
    loader = next((step for step in dataset.pipeline.transforms if isinstance(step, LoadImage)
                   and step.options['value_range']), None)
    if loader is None:
        return []
    own = read_image(path, loader.channels, to_float32=True, page=loader.options['page'])
    low, high = np.asarray(loader.options['value_range'], np.float32).T
    return [(float(np.mean(own < low)), float(np.mean(own > high)))]


def look_at_images(cfg: Config, count: int = LOADED) -> Looked:
    """List the training images and load up to ``count``, spread over the dataset."""
    dataset = build_training_set(cfg)
    size = len(dataset)
    paths = [dataset.get_data_info(index).get('img_path', '') for index in range(min(size, LISTED))]
    inner, _ = innermost(dataset, 0)
    looked = Looked(paths, root=str(getattr(inner, 'data_root', '') or ''))
    for index in np.unique(np.linspace(0, size - 1, min(count, size)).astype(int)):
        path = dataset.get_data_info(int(index)).get('img_path', '')
        try:
            image = load_as_configured(dataset, int(index))
            looked.cut += _cut_off(path, innermost(dataset, int(index))[0])
        except ImageReadError as error:
            looked.errors.append(str(error))
            continue
        except Exception as error:      # another package's loader, which may raise anything
            looked.errors.append(f'{path}: {type(error).__name__}: {error}')
            continue
        if image is None:
            continue
        image = image if image.ndim == 3 else image[..., None]
        rows, columns = (slice(None, None, max(1, side // _SIDE)) for side in image.shape[:2])
        looked.loaded.append(path)
        looked.pixels.append(image[rows, columns].reshape(-1, image.shape[2]))
    return looked


def _numbers(values: Sequence[float]) -> str:
    return f'[{", ".join(f"{value:.4g}" for value in values)}]'


def check_values(looked: Looked, preprocessor: nn.Module) -> Iterator[Finding]:
    """State range, mean and std of the images, and compare the data preprocessor's with them."""
    pixels = np.concatenate(looked.pixels)
    kind, bands = pixels.dtype, pixels.shape[1]
    pixels = pixels.astype(np.float64)
    mean, std = pixels.mean(0), pixels.std(0)
    low, high = np.percentile(pixels, (1, 99))
    below, above = np.mean(looked.cut or [(0, 0)], axis=0)
    problem = ''
    if below + above > 0.2:
        problem = f': value_range cuts off {below:.0%} below and {above:.0%} above'
    elif looked.cut and high - low < 32:
        problem = f': value_range is too wide, 98 % lie in {high - low:.0f} of 256 levels'
    yield Finding(not problem, 'values', f'{kind}, {bands} channels, from {pixels.min():.4g} to '
                  f'{pixels.max():.4g} in {len(looked.loaded)} images{problem}')
    # ours, and mmengine's with all on it
    swaps = getattr(preprocessor, 'bgr_to_rgb', getattr(preprocessor, '_channel_conversion', False))
    if bands == 3 and swaps:
        mean, std = mean[::-1], std[::-1]
    lines = f'data_preprocessor=dict(mean={_numbers(mean)}, std={_numbers(std)})'
    given = [getattr(preprocessor, name, None) for name in ('mean', 'std')]
    given = [np.asarray(value.flatten().tolist() if isinstance(value, torch.Tensor) else [])
             for value in given]
    if not len(given[0]):
        yield Finding(bands == 3, 'normalisation', f'measured {lines}; the config names none')
    elif any(len(values) not in (1, bands) for values in given):
        yield Finding(False, 'normalisation', f'mean has {len(given[0])} and std {len(given[1])} '
                      f'numbers, the images {bands} channels; measured {lines}')
    else:
        off = np.abs(given[0] - mean).max(initial=0, where=std > 0) > std.max()
        ratio = given[1] / np.maximum(std, 1e-12)
        fits = not off and ratio.min() > 0.4 and ratio.max() < 2.5
        yield Finding(bool(fits), 'normalisation', f'measured {lines}' + (
            '' if fits else f'; the config has mean={_numbers(given[0])} std={_numbers(given[1])}'))


def _mask_folder(path: str, root: str) -> str | None:
    """Return the first folder from ``root`` to ``path`` that is named like a folder of masks."""
    below = os.path.relpath(path, root) if root else path
    return next((part for part in os.path.dirname(below).split(os.sep)
                 if part.lower() in _MASK_FOLDERS), None)


def check_masks(looked: Looked) -> Iterator[Finding]:
    """Warn where label maps seem to lie among the images."""
    stems = Counter(os.path.splitext(path)[0] for path in set(looked.paths))
    twins = [stem for stem, count in stems.items() if count > 1]
    twins += [stem for stem in stems for ending in _MASK_ENDINGS
              if stem.lower().endswith(ending) and stem[:-len(ending)] in stems]
    folders = Counter(filter(None, (_mask_folder(path, looked.root) for path in looked.paths)))
    flat = [path for path, pixels in zip(looked.loaded, looked.pixels, strict=True)
            if len(pixels) >= 1024 and 1 < len(np.unique(pixels, axis=0)) <= _FEW_COLOURS]
    said = []
    if 2 * len(twins) > 0.1 * len(looked.paths):
        said.append(f'{len(twins)} names have two files, such as {twins[0]}.*')
    if folders and sum(folders.values()) < len(looked.paths):
        name, count = folders.most_common(1)[0]
        said.append(f"{count} files lie in folders named '{name}'")
    if flat:
        said.append(f'{len(flat)} of {len(looked.loaded)} have {_FEW_COLOURS} colours or fewer, '
                    f'such as {flat[0]}')
    if said:
        yield Finding(False, 'label maps', f'there seem to be label maps among the images: '
                      f'{"; ".join(said)}: name the folder of images alone (data_root, '
                      'data_prefix.img_path) or a list (ann_file)')


def check_images(cfg: Config, model: nn.Module) -> Iterator[Finding]:
    """Return what a sample of the images shows: errors, numbers, bands, label maps."""
    looked = look_at_images(cfg)
    if looked.errors:
        count = len(looked.errors) + len(looked.loaded)
        yield Finding(False, 'images', f'{len(looked.errors)} of {count} looked at cannot be used: '
                      f'{looked.errors[0]}')
    yield from check_masks(looked)
    shapes = {pixels.shape[1] for pixels in looked.pixels}
    if not shapes:
        return
    if len(shapes) > 1:
        yield Finding(False, 'values', f'images of {sorted(shapes)} channels; expected one number')
        return
    yield from check_values(looked, getattr(model, 'data_preprocessor', nn.Identity()))
    found = first_convolution(getattr(model, 'backbone', nn.Identity()))
    bands = shapes.pop()
    if found is not None and found[1].in_channels != bands:
        yield Finding(False, 'first convolution', f'{found[0]} takes {found[1].in_channels} '
                      f'channels, the images have {bands}: model.backbone.in_channels={bands}')
