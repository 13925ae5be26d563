"""What decoders say about damaged images: their C code writes it to stderr and returns pixels."""
from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

#: libjpeg, OpenCV's logger (libtiff speaks through it) and libpng, where pixels are lost; what else
#: they say (an unknown tag, a colour profile) is of intact files too
DAMAGE = re.compile(r'Corrupt JPEG data|Premature end of JPEG|Inconsistent progression'
                    r'|\[ERROR:\S+ |libpng error|Decoding error')

#: one file per process: a forked one would share its place in it
_files: dict[int, IO[bytes]] = {}


@contextmanager
def decoder_messages() -> Iterator[list[str]]:
    """Collect in a list the lines about damage that this process writes to stderr inside.

    Other lines are passed on to stderr afterwards. Costs about ten microseconds. Stderr is the
    whole process's: two threads must not be inside at once.
    """
    found: list[str] = []
    file = _files.get(os.getpid())
    if file is None:
        file = _files[os.getpid()] = tempfile.TemporaryFile(buffering=0)
    stderr = os.dup(2)
    os.dup2(file.fileno(), 2)
    try:
        yield found
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        size = file.seek(0, os.SEEK_CUR)
        if size:
            file.seek(0)
            lines = file.read(size).decode(errors='replace').splitlines()
            file.seek(0)
            file.truncate()
            found += [line.strip() for line in lines if DAMAGE.search(line)]
            other = [line for line in lines if not DAMAGE.search(line)]
            if other:
                print('\n'.join(other), file=sys.stderr, flush=True)
