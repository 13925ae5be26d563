"""A million paths in one array, kept in a file that all processes of a machine share."""
from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np
from mmengine.logging import print_log

from mmdense.digests import digest
from mmdense.files import locked, whole_file

#: a change of a folder this short before it was listed may leave its time as it was
SURE_AFTER = 2 * 10 ** 9
#: what a kept list begins with, as int64: format, images, bytes of the names, bytes of the state
HEADER = 4
FORMAT = 1
#: file or folder -> time of change (ns) and size (0 of a folder) when it was looked at
State = dict[str, tuple[int, int]]


class PathList(Sequence[str]):
    """N paths of one folder: names (bytes,) uint8 and where they begin and end, (N + 1,) int64.

    Of a subset ``order`` (M,) says which of them it has.
    """

    def __init__(self, folder: str, names: np.ndarray, bounds: np.ndarray,
                 order: np.ndarray | None = None) -> None:
        self.folder, self.names, self.bounds, self.order = folder, names, bounds, order

    @classmethod
    def pack(cls, folder: str, names: Sequence[str]) -> PathList:
        """Return the list of ``names``, relative to ``folder`` or absolute."""
        lengths = (len(os.fsencode(name)) for name in names)
        bounds = np.zeros(len(names) + 1, np.int64)
        np.cumsum(np.fromiter(lengths, np.int64, len(names)), out=bounds[1:])
        return cls(folder, np.frombuffer(os.fsencode(''.join(names)), np.uint8), bounds)

    def __len__(self) -> int:
        return len(self.bounds) - 1 if self.order is None else len(self.order)

    def __getitem__(self, index: int) -> str:
        """Return a path.

        Raises:
            IndexError: there is no such one.
        """
        if not -len(self) <= index < len(self):
            raise IndexError(f'image {index} of {len(self)}')
        index = int(index) % len(self)
        place = index if self.order is None else self.order[index]
        name = self.names[self.bounds[place]:self.bounds[place + 1]]
        return os.path.join(self.folder, os.fsdecode(name.tobytes()))

    def take(self, indices: slice | Sequence[int]) -> PathList:
        """Return a subset, which shares the names."""
        order = np.arange(len(self)) if self.order is None else self.order
        if not isinstance(indices, slice):
            indices = np.asarray(indices, np.int64)     # also of none
        return PathList(self.folder, self.names, self.bounds, order[indices])


class Listing(NamedTuple):
    """What was found: names, and what they depend on, as it was before they were read."""
    names: list[str]
    state: State


def look_at(path: str) -> tuple[int, int]:
    """Return time of change (ns) and size of a file, or time of change and 0 of a folder.

    Raises:
        OSError: it is not there.
    """
    found = os.stat(path)
    return found.st_mtime_ns, 0 if stat.S_ISDIR(found.st_mode) else found.st_size


def kept_file(*what: str | bool | tuple) -> Path:
    """Return where the list of such images is kept: in ``MMDENSE_CACHE``, or ~/.cache/mmdense."""
    folder = os.environ.get('MMDENSE_CACHE') or os.path.join(
        os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache'), 'mmdense')
    return Path(folder, f'{digest(FORMAT, *what)[:20]}.paths')


def read_kept(path: Path, folder: str) -> PathList | None:
    """Return a kept list, mapped from its file; None if there is none, or what it lists changed.

    Every folder is looked at, not every image.
    """
    try:
        header = np.fromfile(path, np.int64, HEADER)
        if len(header) < HEADER or header[0] != FORMAT:
            return None
        _, count, size, state_size = header.tolist()
        begin = 8 * (HEADER + count + 1)
        if path.stat().st_size != begin + size + state_size:
            return None
        data = np.asarray(np.memmap(path, np.uint8, 'r'))
        state = json.loads(data[begin + size:].tobytes())
        if any(look_at(os.path.join(folder, name)) != tuple(seen)
               for name, seen in state.items()):
            return None
    except (OSError, ValueError):       # none, not ours to read, or a folder is gone
        return None
    return PathList(folder, data[begin:begin + size], data[8 * HEADER:begin].view(np.int64))


def keep(path: Path, paths: PathList, state: State) -> None:
    """Write a list with what it depends on.

    Raises:
        OSError: it could not be written.
    """
    # what JSON cannot say of a name that is no UTF-8 it says by halves of letters
    text = json.dumps(state).encode()
    header = np.array([FORMAT, len(paths), len(paths.names), len(text)], np.int64)
    with whole_file(path) as file:
        for part in (header, paths.bounds, paths.names, text):
            file.write(part)


def cannot_tell(state: State, begin: int) -> str | None:
    """Return why these times, looked at from ``begin`` (ns) on, would not tell of a change."""
    times = [when for when, _ in state.values()]
    if min(times) <= 0:
        return 'this file system has no times of folders'
    return 'a folder changed just now' if max(times) + SURE_AFTER > begin else None


def shared_paths(path: Path, folder: str, list_now: Callable[[], Listing]) -> PathList:
    """Return the list kept in ``path``; if there is none that still holds, make it and keep it.

    Of several processes the first one lists and the others wait for it. Where nothing can be kept,
    each lists for itself, and the log says so.

    Args:
        path: see :func:`kept_file`.
        folder: that the names are relative to.
        list_now: lists.

    Raises:
        what ``list_now`` raises.
    """
    paths = read_kept(path, folder)
    if paths is not None:
        return paths
    with ExitStack() as stack:
        problem = None
        try:
            stack.enter_context(locked(path.with_suffix('.lock'), wait=True))
        except OSError as error:
            problem = f'{error}; set MMDENSE_CACHE to a folder that can be written'
        paths = read_kept(path, folder)             # another process may have listed meanwhile
        if paths is not None:
            return paths
        begin = time.time_ns()
        names, state = list_now()
        paths = PathList.pack(folder, names)
        del names       # three times as large
        seconds = (time.time_ns() - begin) / 1e9
        unsure = cannot_tell(state, begin)
        if not (problem or unsure):
            try:
                keep(path, paths, state)
                paths = read_kept(path, folder) or paths
            except OSError as error:
                problem = str(error)
    if problem or seconds > 5:
        reason = problem or unsure
        end = f'is not kept for the next start: {reason}' if reason else f'is kept in {path}'
        print_log(f'the list of {len(paths):,} images of {os.path.abspath(folder)} took '
                  f'{seconds:.0f} s and {end}', 'current')
    return paths


class Samples(Sequence[dict]):
    """Samples of a dataset that are an image's path each, ``img_path``."""

    def __init__(self, paths: PathList) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int | slice) -> dict | Samples:
        if isinstance(index, slice):
            return Samples(self.paths.take(index))
        return dict(img_path=self.paths[index])
