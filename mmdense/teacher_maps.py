"""A teacher's maps of whole images, computed once: one row of half-precision numbers per image."""
from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

from .digests import image_number
from .files import whole_file, write_whole
from .mistakes import MissingFile, UnusableFile, WrongValue
from .outputs import make_output_folder

#: counts up when the files' content changes
FORMAT = 1
NOTE, MAPS, IMAGES, WRITTEN = 'teacher.json', 'maps.npy', 'images.npy', 'written.npy'


def write_array(array: np.ndarray, path: Path) -> None:
    """Write a .npy file, whole or not at all."""
    with whole_file(path, what='teacher maps') as file:
        np.save(file, array)


def identities(paths: Sequence[str]) -> np.ndarray:
    """Return (N, 2) int64: the number of each image, and the bytes of its file.

    Raises:
        FileNotFoundError: an image is not there.
        ValueError: two images have one number, such as one that is listed twice.
    """
    try:
        rows = np.array([(image_number(path), os.stat(path).st_size) for path in paths], np.int64)
    except OSError as error:
        raise MissingFile(f'{error.filename}: no such image; expected one to compute the maps of'
                          ) from error
    rows = rows.reshape(-1, 2)
    if len(np.unique(rows[:, 0])) < len(rows):
        raise WrongValue(f'{len(rows)} images have {len(np.unique(rows[:, 0]))} different names; '
                         'expected each image once')
    return rows


@dataclass
class TeacherMaps:
    """What a folder of maps says of itself, and its rows.

    Files: ``teacher.json`` (key, name, licence, size, shapes), ``images.npy`` (number and bytes of
    each image), ``maps.npy`` (N, L) float16, and ``written.npy`` (N,), which rows are there.

    Attributes:
        folder: of the files.
        note: the content of ``teacher.json``.
        images: (N, 2) int64, see :func:`identities`.
        maps: (N, L) float16, read by memory map; a row has the maps of all levels, one behind the
            other, each (D, h, w).
        written: (N,) bool, by memory map as well: a batch changes no more than its own marks.
    """
    folder: Path
    note: dict
    images: np.ndarray
    maps: np.memmap
    written: np.memmap

    def __post_init__(self) -> None:
        self.order = np.argsort(self.images[:, 0])
        self.numbers = self.images[self.order, 0]

    @property
    def shapes(self) -> list[tuple[int, int, int]]:
        """(D, h, w) of each level."""
        return [tuple(shape) for shape in self.note['shapes']]

    @classmethod
    def open(cls, folder: str | os.PathLike, writing: bool = False) -> TeacherMaps:
        """Open a folder of maps.

        Args:
            writing: rows may be missing, and will be written.

        Raises:
            FileNotFoundError: it has no maps.
            UnusableFile: its files are damaged, or of another format.
            ValueError: rows are missing.
        """
        folder = Path(folder)
        if not (folder / NOTE).is_file():
            raise MissingFile(f'{folder} has no {NOTE}: expected a folder that '
                              'tools/cache_teacher.py wrote')
        try:
            note = json.loads((folder / NOTE).read_bytes())
            images, mode = np.load(folder / IMAGES), 'r+' if writing else 'r'
            maps, written = (np.load(folder / name, mmap_mode=mode) for name in (MAPS, WRITTEN))
            length = sum(prod(shape) for shape in note['shapes'])
            problem = None if (note['format'], maps.shape, written.shape, maps.dtype) == (
                FORMAT, (len(images), length), (len(images),), np.float16) else \
                'its files do not fit each other'
        except (ValueError, KeyError, TypeError, OSError, EOFError) as error:
            problem = str(error)
        if problem is not None:
            raise UnusableFile(f'{folder}: the teacher maps cannot be read ({problem}); remove the '
                               'folder and run tools/cache_teacher.py again')
        found = cls(folder, note, images, maps, written)
        if not writing and not found.written.all():
            raise WrongValue(f'{folder} has the maps of {int(found.written.sum())} of '
                             f'{len(images)} images; tools/cache_teacher.py goes on where it '
                             'stopped')
        return found

    @classmethod
    def begin(cls, folder: str | os.PathLike, note: dict, paths: Sequence[str]) -> TeacherMaps:
        """Open a folder to write to; make it, or go on with what an interrupted run left.

        Args:
            note: key, name, licence, size and shapes.
            paths: of the images.

        Raises:
            ValueError: it has maps of another teacher or of other images.
            OSError: there is no room for them; nothing is written then.
        """
        folder, images = Path(folder), identities(paths)
        note = json.loads(json.dumps({'format': FORMAT, **note}))
        if (folder / NOTE).is_file():
            there = cls.open(folder, writing=True)
            if there.note != note or not np.array_equal(there.images, images):
                what = 'other images' if there.note == note else \
                    f'another teacher or input ({there.note["name"]}, size {there.note["size"]})'
                raise WrongValue(f'{folder} has the maps of {what}; expected an empty folder, or '
                                 'one that the same command began')
            return there
        make_output_folder(folder, 'the folder of the maps')
        length = sum(prod(shape) for shape in note['shapes'])
        room, free = bytes_of(len(images), note['shapes']), shutil.disk_usage(folder).free
        if room > free:
            raise UnusableFile(f'{folder}: the maps of {len(images)} images take {room / 1e9:.2f} '
                               f'GB, and {free / 1e9:.2f} GB are free')
        # the note comes last: without it nothing has begun
        np.lib.format.open_memmap(folder / MAPS, 'w+', np.float16, (len(images), length)).flush()
        write_array(images, folder / IMAGES)
        write_array(np.zeros(len(images), bool), folder / WRITTEN)
        write_whole(json.dumps(note, indent=1).encode(), folder / NOTE)
        return cls.open(folder, writing=True)

    def write(self, rows: np.ndarray, maps: np.ndarray) -> None:
        """Write rows (numbers of images, R) of maps (R, L), and note that they are there.

        Raises:
            ValueError: a number that half precision cannot hold.
        """
        if not np.isfinite(maps := np.asarray(maps, np.float16)).all():
            raise WrongValue(f'{self.folder}: a map of the teacher has numbers that are not finite '
                             'in half precision; expected below 65,504')
        self.maps[rows] = maps
        self.maps.flush()
        self.written[rows] = True                   # after the rows themselves are on the disk
        self.written.flush()

    def row(self, path: str) -> np.ndarray:
        """Return the maps (L,) float16 of an image's file.

        Raises:
            ValueError: the folder has no maps of it, or of another file of its name.
        """
        number = image_number(path)
        place = int(np.searchsorted(self.numbers, number))
        if place == len(self.numbers) or self.numbers[place] != number:
            raise WrongValue(f'{self.folder} has no maps of {path}; expected those of every image '
                             'that is trained on: run tools/cache_teacher.py with the same config')
        row = self.order[place]
        if os.stat(path).st_size != self.images[row, 1]:
            raise WrongValue(f'{path} has {os.stat(path).st_size} bytes, and {self.images[row, 1]} '
                             f'when {self.folder} was written: its maps are of another image')
        return self.maps[row]


def bytes_of(images: int, shapes: Sequence[Sequence[int]]) -> int:
    """Return the bytes of the maps (D, h, w) of so many images, in half precision."""
    return 2 * images * sum(prod(shape) for shape in shapes)
