"""Where MMDense's configs are installed."""
from __future__ import annotations

import difflib
from pathlib import Path

from .mistakes import MissingFile

CONFIGS = Path(__file__).resolve().parent / '.mim/configs'
#: first base of a config that inherits from ``mmseg::…``, ``mmpretrain::…`` or ``mmdense::…``
BASE = str(CONFIGS / '_base_/mmdense.py')


def find_config(name: str) -> str:
    """Return the path of our config ``name``, with or without ``.py``.

    Raises:
        FileNotFoundError: there is none; the message lists the nearest names.
    """
    path = CONFIGS / (name if name.endswith('.py') else f'{name}.py')
    if not path.is_file():
        known = sorted(p.relative_to(CONFIGS).as_posix() for p in CONFIGS.rglob('*.py'))
        near = difflib.get_close_matches(name, known, n=3, cutoff=0)
        raise MissingFile(f'config mmdense::{name}: no such file in {CONFIGS}; nearest: '
                          f'{", ".join(f"mmdense::{n}" for n in near)}')
    return str(path)
