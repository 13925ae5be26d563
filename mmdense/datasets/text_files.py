"""Text files written by others: find their encoding, or give one clear error."""
from __future__ import annotations

import codecs
import os

from mmdense.mistakes import WrongValue

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_text(path: str, mark: bool = True) -> str:
    """Return the text of a file in UTF-8, or in UTF-16 with its mark, without the mark.

    Args:
        path: the file.
        mark: whether it may begin with a byte order mark, as some editors write it.

    Raises:
        ValueError: it is neither; the message names the place.
    """
    with open(path, 'rb') as file:
        data = file.read()
    if not mark and data.startswith((codecs.BOM_UTF8, *_UTF_16)):
        raise WrongValue(f'{os.path.abspath(path)}: begins with a byte order mark, which mmseg '
                         'takes for a part of the first name; expected UTF-8 without one')
    coding = 'utf-16' if data[:2] in _UTF_16 else 'utf-8-sig'
    try:
        text = data.decode(coding)
    except UnicodeDecodeError as error:
        line = data[:error.start].count(b'\n') + 1
        raise WrongValue(
            f'{os.path.abspath(path)}, line {line}: byte 0x{data[error.start]:02x} is no UTF-8; '
            'expected text in UTF-8, one path per line (iconv -f latin1 -t utf-8 OLD > NEW turns '
            'Latin-1 into it)') from None
    if '\0' in text:
        raise WrongValue(f'{os.path.abspath(path)}: holds zero bytes, as UTF-16 without its mark '
                         'or a binary file does; expected text in UTF-8, one path per line')
    return text
