"""A config that a table describes by bases and settings, where it has no file of its own."""
from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmdense.digests import digest
from mmdense.files import write_whole

#: a text that stands for a variable of the bases
VARIABLE = re.compile(r'_base_(\.[A-Za-z_]\w*)+')


def expression(value: Any) -> str:
    """Return a value as Python; a text such as ``_base_.network`` is the bases' variable."""
    if isinstance(value, dict):
        return '{' + ', '.join(f'{key!r}: {expression(one)}' for key, one in value.items()) + '}'
    if isinstance(value, (list, tuple)):
        inside = ''.join(f'{expression(one)}, ' for one in value)
        return f'[{inside}]' if isinstance(value, list) else f'({inside})'
    return value if isinstance(value, str) and VARIABLE.fullmatch(value) else repr(value)


def assigned(settings: dict[str, Any], variable: str | None = None) -> str:
    """Return the Python of one name: its own value is at ``''``, the rest by dotted name.

    Args:
        settings: of this name.
        variable: Python that gives what the bases' variable has here; ``settings`` add to it.
    """
    parts: dict[str, dict[str, Any]] = {}
    for key, value in settings.items():
        if key:
            name, _, rest = key.partition('.')
            parts.setdefault(name, {})[rest] = value
    own = variable
    if '' in settings:
        own = expression(settings[''])
        variable = own if own == settings[''] else None
    if not parts:
        return own
    inside = [own] if own else []
    for name, part in parts.items():
        below = f'{variable}.get({name!r}, {{}})' if variable else None
        inside.append(f'{name}={assigned(part, below)}')
    return f'dict({", ".join(inside)})'


@dataclass(frozen=True)
class RowConfig:
    """A config of these bases and settings.

    Attributes:
        bases: absolute paths of configs, or names such as ``mmpretrain::…``.
        settings: by dotted name, as a config with these bases would assign them.
    """
    bases: tuple[str, ...]
    settings: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return ' + '.join([*(Path(base).stem for base in self.bases),
                           *(f'{key}={value}' for key, value in self.settings.items())])

    def text(self) -> str:
        """Return the content of the config's file."""
        names: dict[str, dict[str, Any]] = {}
        for key, value in self.settings.items():
            name, _, rest = key.partition('.')
            names.setdefault(name, {})[rest] = value
        # the first base imports mmdense, by which `mmpretrain::…` is found
        return '\n'.join([
            '# written by tools/run_table.py', "_base_ = [", "    __import__('mmdense').BASE,",
            *(f'    {base!r},' for base in self.bases), ']',
            *(f'{name} = {assigned(values)}' for name, values in names.items()), ''])


def config_file(config: Path | RowConfig, folder: Path, name: str) -> Path:
    """Return a config's file; one without is written into ``folder``, its content in its name."""
    if isinstance(config, Path):
        return config
    text = config.text()
    path = folder / f'{name}_{digest(text)[:8]}.py'
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(text.encode(), path)
    return path
