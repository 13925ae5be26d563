"""Read images as strictly as libraries can, to find those that are damaged.

PNG, and TIFF with deflate, hold checksums: there every damage shows. JPEG, WebP, GIF and other TIFF
hold none: a decoder notices what breaks its rules, and what does not is other pixels in silence.
(One flipped bit in each of 20 files is found in 1 JPEG, 4 progressive ones, 7 WebP, 4 GIF, 2 TIFF
with LZW, 0 without compression, and in all TIFF with deflate and all PNG.)
"""
from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS
from PIL import Image, UnidentifiedImageError

from mmdense.mistakes import WrongValue
from mmdense.parallel import map_in_processes

from .decoder_messages import decoder_messages
from .unlabelled import wrapped_images

#: kinds of files whose pixels have a checksum
CHECKED_SUFFIXES = ('.png',)


@dataclass
class Checked:
    """What became of one image: its path, and what is wrong with it, if anything."""
    path: str
    problem: str | None = None


def image_loader(dataset_cfg: dict) -> BaseTransform:
    """Return the transform that reads the images of a dataset, however it is wrapped.

    Raises:
        ValueError: there is none in its pipelines.
    """
    def transforms(node: Any) -> Iterator[dict]:
        if isinstance(node, dict):
            if 'LoadImage' in str(node.get('type')):
                yield node
            node = list(node.values())
        for child in node if isinstance(node, (list, tuple)) else ():
            yield from transforms(child)

    found = next(transforms(dataset_cfg), None)
    if found is None:
        raise WrongValue(f'no pipeline of {dataset_cfg["type"]} has a transform that reads an '
                         'image; expected mmdense.LoadImage or LoadImageFromFile')
    return TRANSFORMS.build(dict(found))


def _pillow_problem(path: str) -> str | None:
    """Return what Pillow says of the first picture of a file; None also of kinds unknown to it."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter('always')
        try:
            with Image.open(path) as image:
                image.load()
        except (UnidentifiedImageError, Image.DecompressionBombError):
            pass
        except Exception as error:      # whatever its plugins raise
            return f'Pillow: {error}'
    texts = [str(one.message) for one in told]
    return next((f'Pillow: {text.strip()}' for text in texts
                 if 'orrupt' in text or 'runcated' in text), None)


def _opencv_problem(path: str) -> str | None:
    """Return whether OpenCV refuses a GIF: its decoder of these is stricter than Pillow's."""
    is_gif = path.lower().endswith('.gif')
    return 'OpenCV cannot decode it' if is_gif and cv2.imread(path) is None else None


def check_image(path: str, loader: BaseTransform) -> Checked:
    """Read an image by the run's own loader and by Pillow; any error or word of damage counts."""
    refused = None
    with decoder_messages() as messages:
        try:
            loader.transform(dict(img_path=path))
        except Exception as error:      # of any loader; ours names the file
            refused = str(error).removeprefix(f'{path}: ')
        other = _pillow_problem(path) or _opencv_problem(path)
    return Checked(path, refused or next(iter(messages), other))


def check_images(dataset_cfg: dict, workers: int = 1,
                 on_image: Callable[[Checked, int], None] = lambda checked, count: None
                 ) -> list[Checked]:
    """Read every image of a dataset once; return one `Checked` each, in order.

    Args:
        dataset_cfg: the ``dataset`` of a dataloader, any that has images.
        workers: processes.
        on_image: called with each `Checked` as it comes, and with the number of all images.

    Raises:
        FileNotFoundError, ValueError: the dataset has no images, or nothing that reads them.
        ChildProcessError: a worker was killed.
    """
    paths = wrapped_images(dataset_cfg)
    job, found = partial(check_image, loader=image_loader(dataset_cfg)), []
    with closing(map_in_processes(job, paths, workers)) as results:
        for checked in results:
            found.append(checked)
            on_image(checked, len(paths))
    return found


def report(found: Sequence[Checked], most: int = 100) -> str:
    """Return the damaged files with what is wrong, one per line, and what cannot be known."""
    damaged = [one for one in found if one.problem is not None]
    lines = [f'{one.path}: {one.problem}' for one in damaged[:most]]
    if len(damaged) > most:
        lines.append(f'… and {len(damaged) - most} more')
    lines.append(f'{len(damaged)} of {len(found)} images are damaged')
    unsure = sum(not one.path.lower().endswith(CHECKED_SUFFIXES) for one in found)
    if unsure:
        lines.append(f'{unsure} are of kinds without checksums (all but PNG): what changed inside '
                     'their pixels by the rules of the format cannot be noticed')
    return '\n'.join(lines)
