"""What images a folder or a list has, and when that was so."""
from __future__ import annotations

import os
import time
from collections import Counter

from mmengine.logging import print_log

from mmdense.images.reading import IMAGE_SUFFIXES
from mmdense.mistakes import MissingFile, UnusableFile

from .dataset_paths import why_no_folder
from .lists import read_list
from .path_list import Listing, look_at


def list_folder(folder: str, recursive: bool = True) -> Listing:
    """Return the names of the image files in ``folder``, sorted, and the folders' times.

    Hidden files are passed over. Links to folders are followed, each folder once.

    Raises:
        FileNotFoundError: no such folder, or no image in it.
        OSError: a folder in it cannot be listed.
    """
    problem = why_no_folder(folder)
    if problem:
        raise MissingFile(f'images were looked for in {os.path.abspath(folder)}, {problem}; '
                          'expected a folder of images (data_root, data_prefix.img_path)')
    found, others, state, seen = [], Counter(), {}, set()
    waiting, told = [''], time.monotonic()
    while waiting:
        at = waiting.pop()
        path = os.path.join(folder, at)
        if os.path.realpath(path) in seen:
            continue
        seen.add(os.path.realpath(path))
        try:
            state[at] = look_at(path)
            names, below, rest = _look_into(path)
        except OSError as error:
            raise UnusableFile(f'{os.path.abspath(path)}: cannot be listed ({error.strerror}); '
                               'expected a folder of images') from None
        found += [os.path.join(at, name) for name in names]
        others.update(rest)
        if recursive:
            waiting += [os.path.join(at, name) for name in sorted(below, reverse=True)]
        if time.monotonic() - told > 10:
            told = time.monotonic()
            print_log(f'{len(found):,} images so far in {os.path.abspath(folder)}', 'current')
    if not found:
        where = 'and the folders below it' if recursive else '(recursive=False)'
        there = ', '.join(f'{count} *{suffix}' for suffix, count in others.most_common(3))
        raise MissingFile(f'no image in {os.path.abspath(folder)} {where}; expected files '
                          f'named {", ".join("*" + suffix for suffix in IMAGE_SUFFIXES)}'
                          + (f'; there are {there}' if there else ''))
    found.sort()
    return Listing(found, state)


def _look_into(folder: str) -> tuple[list[str], list[str], list[str]]:
    """Return the images, the folders and the suffixes of other files in ``folder``."""
    images, folders, others = [], [], []
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            if entry.is_dir():
                if not name.startswith('.'):
                    folders.append(name)
            elif name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith('.'):
                images.append(name)
            else:
                others.append(os.path.splitext(name)[1])
    return images, folders, others


def list_named(ann_file: str, folder: str) -> Listing:
    """Return the images of a list file, with the times of the list and of the images' folders.

    Raises:
        FileNotFoundError, ValueError: see :func:`~mmdense.datasets.lists.read_list`.
    """
    names = read_list(ann_file, folder)
    depends = {os.path.abspath(ann_file), *map(os.path.dirname, names)}
    return Listing(names, {path: look_at(os.path.join(folder, path)) for path in depends})
