"""Lists of images: text files with one path per line; anything else gets one clear error."""
from __future__ import annotations

import io
import os

from mmdense.mistakes import MissingFile, WrongValue

from .dataset_paths import absent_files, name_some
from .text_files import read_text


def _hint(line: str, folder: str) -> str:
    """Return what is wrong with a line if a part of it names a file, else an empty text."""
    for part, what in ((line.strip('\'" '), 'quotes'),
                       (line.replace('\\', '/'), 'backslashes'),
                       (line.split(',')[0].strip('\'" '), 'columns after a comma'),
                       (line.split('\t')[0].strip('\'" '), 'columns after a tab'),
                       (line.split(';')[0].strip('\'" '), 'columns after a semicolon'),
                       (line.split()[0], 'columns after a space')):
        if part != line and part and os.path.isfile(os.path.join(folder, part)):
            return f'; the lines have {what}, {part} alone is there'
    return ''


def read_list(ann_file: str, folder: str) -> list[str]:
    """Return the names in a list file, one per line: paths relative to ``folder`` or absolute.

    Line ends are those of any system; empty lines are passed over.

    Raises:
        FileNotFoundError: the list or an image named in it is not there.
        ValueError: the list names nothing, is no text in UTF-8 (or UTF-16 with its mark), or is
            JSON.
    """
    where = os.path.abspath(ann_file)
    if not os.path.isfile(ann_file):
        raise MissingFile(f'the list of images (ann_file) was looked for at {where}, which '
                          'is not there; expected a text file with one path per line')
    lines = [line.strip() for line in io.StringIO(read_text(ann_file), newline=None)]
    lines = [line for line in lines if line]
    if not lines:
        raise WrongValue(f'{where}: the list is empty; expected one path per line')
    if lines[0][0] in '{[' and not os.path.exists(os.path.join(folder, lines[0][:255])):
        raise WrongValue(f'{where}: this is JSON; expected a text file with one path per line (of '
                         "a COCO file: the file_name of each of its 'images'), or no list at all: "
                         'every image in the folder is taken then')
    paths = [os.path.join(folder, line) for line in lines]
    absent = absent_files(paths)
    if absent:
        known = set(absent)
        first = next(line for line, path in zip(lines, paths, strict=True) if path in known)
        raise MissingFile(
            f'{where}: {len(absent)} of {len(paths)} images are not there: '
            f'{name_some([os.path.abspath(path) for path in absent])}; expected one path per line, '
            f'with its suffix, relative to {os.path.abspath(folder)}{_hint(first, folder)}')
    return lines
