"""Write the generated sets to disk: whole or not at all, once, however many processes ask.

The images are PNG, in ``JPEGImages/`` because the layout is VOC's: JPEG would change pixels from
one library to the next. A new set is written into ``FOLDER.partial`` and renamed, under a lock;
what a killed process left behind is done again.
"""
from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from mmengine.logging import print_log

from mmdense.files import locked, write_whole
from mmdense.images.writing import label_png, picture_png

from .patterns import SCENE_PALETTE
from .worlds import SCENE_COUNTS, make_object, make_scene

SCENE_LAYOUT = ('JPEGImages', 'SegmentationClass', 'ImageSets/Segmentation')
OBJECT_LIST = 'list.txt'
#: colour of VOC's border, which 255 is
BORDER = (224, 224, 192)

Progress = Callable[[], None]


def _silent() -> None:
    """Report nothing."""


def lock_of(folder: Path) -> Path:
    """Return the lock file of those who make ``folder``, beside it: it is renamed as a whole."""
    return folder.with_name(f'.{folder.name}.lock')


def is_there(folder: Path) -> bool:
    """Return whether ``folder`` holds something; an empty folder is taken for none."""
    return folder.is_dir() and any(folder.iterdir())


def _fill_scenes(folder: Path, counts: dict[str, int], seed: int, progress: Progress) -> None:
    images, labels, lists = (folder / name for name in SCENE_LAYOUT)
    for path in (images, labels, lists):
        path.mkdir(parents=True)
    for split, count in counts.items():
        names = [f'{split}_{index:05d}' for index in range(count)]
        for index, name in enumerate(names):
            image, label = make_scene(seed, split, index)
            (images / f'{name}.png').write_bytes(picture_png(image))
            (labels / f'{name}.png').write_bytes(label_png(label, SCENE_PALETTE, BORDER))
            progress()
        (lists / f'{split}.txt').write_text(''.join(f'{name}\n' for name in names))


def ensure_scenes(folder: str | Path, counts: dict[str, int] | None = None, seed: int = 0,
                  progress: Progress = _silent) -> bool:
    """Write the scenes in VOC's layout unless something is in ``folder`` already.

    The masks of the ``unlabelled`` split are written too, for oracles; no list of labelled images
    names them.

    Args:
        folder: where the set goes.
        counts: number of images of each split; ``SCENE_COUNTS`` if None.
        seed: of the set.
        progress: called after each image.

    Returns:
        whether it was written by this call.
    """
    folder = Path(folder).resolve()
    if is_there(folder):
        return False
    with locked(lock_of(folder), wait=True):
        if is_there(folder):                    # another process wrote it while this one waited
            return False
        counts = counts or SCENE_COUNTS
        print_log(f'Generating {sum(counts.values())} scenes into {folder} (once, about 15 s)',
                  logger='current')
        partial = folder.with_name(folder.name + '.partial')
        shutil.rmtree(partial, ignore_errors=True)
        _fill_scenes(partial, counts, seed, progress)
        os.rename(partial, folder)
    return True


def count_objects(folder: Path) -> int:
    """Return how many object-centric images the list in ``folder`` names; 0 without one."""
    path = folder / OBJECT_LIST
    return len(path.read_text().splitlines()) if path.is_file() else 0


def ensure_objects(folder: str | Path, count: int, seed: int = 0,
                   progress: Progress = _silent) -> int:
    """Write object-centric images until ``folder`` holds ``count``; more are left alone.

    The list ``list.txt`` (``images/00000.png 7``: path and class) is replaced at the end, so that
    it never names an image that is not there. A set that is too short is continued.

    Args:
        folder: where the set goes.
        count: number of images wanted.
        seed: of the set; the one it was begun with.
        progress: called after each image.

    Returns:
        number of images written by this call.
    """
    folder = Path(folder).resolve()
    if count_objects(folder) >= count:
        return 0
    with locked(lock_of(folder), wait=True):
        have = count_objects(folder)
        if have >= count:
            return 0
        print_log(f'Generating {count - have} object-centric images into {folder}',
                  logger='current')
        (folder / 'images').mkdir(parents=True, exist_ok=True)
        lines = (folder / OBJECT_LIST).read_text().splitlines() if have else []
        for index in range(have, count):
            image, label = make_object(seed, index)
            name = f'images/{index:05d}.png'
            write_whole(picture_png(image), folder / name)
            lines.append(f'{name} {label}')
            progress()
        write_whole(('\n'.join(lines) + '\n').encode(), folder / OBJECT_LIST)
    return count - have
