"""Where results are written: a folder is made, or what is in the way is named."""
from __future__ import annotations

import os
from pathlib import Path

from .mistakes import UnusableFile


def make_output_folder(path: str | os.PathLike, what: str) -> Path:
    """Make a folder with its parents, and see that files can be written into it.

    Args:
        path: of the folder.
        what: asks for it, such as ``'--out'``, for the message.

    Raises:
        OSError: a file stands where a folder should be, or nothing can be written there.
    """
    folder = Path(path)
    there = next((one for one in (folder, *folder.parents) if one.exists()), Path())
    if not there.is_dir():
        raise UnusableFile(f'{what} {path}: {there} is a file, expected a folder; remove it or '
                           'choose another place')
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UnusableFile(f'{what} {path}: could not be made in {there.absolute()} '
                           f'({error.strerror}); choose another place') from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UnusableFile(f'{what} {path}: nothing can be written there (read-only, or owned by '
                           'another user); choose another place')
    return folder


def check_output_file(path: str | os.PathLike, what: str) -> Path:
    """Make the folder of a file that is to be written, and see that no folder has its name.

    Raises:
        OSError: as :func:`make_output_folder`, or the file is a folder.
    """
    path = Path(path)
    make_output_folder(path.parent, what)
    if path.is_dir():
        raise UnusableFile(f'{what} {path} is a folder, expected a file')
    return path
