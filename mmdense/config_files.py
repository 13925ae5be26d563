"""Reading a config file; an error is one line that names the file, its line and what is wrong."""
from __future__ import annotations

import os
import traceback
from collections.abc import Iterable
from pathlib import Path

from mmengine.config import Config

from .checkpoints.reading import WEIGHT_SUFFIXES
from .mistakes import MissingFile, WrongValue

CONFIG_SUFFIXES = ('.py', '.yaml', '.yml', '.json')
SWAPPED = 'are CONFIG and CHECKPOINT the wrong way round?'


def _place(error: Exception, path: str) -> str:
    """Return the file (perhaps a base) and, if known, the line that an error came from."""
    file, line = path, getattr(error, 'lineno', None)
    for frame, number in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_name in ('_file2dict', '_is_lazy_import', '_parse_lazy_import'):
            file = frame.f_locals.get('filename', file)
        elif frame.f_code.co_filename == file:      # a line of the config as it runs
            line = number
    name = path if os.path.abspath(path) == os.path.abspath(file) else f'{path}: its base {file}'
    return name if line is None else f'{name}, line {line}'


def _reason(error: Exception) -> str:
    """Return in one line why a config could not be read."""
    if isinstance(error, SyntaxError):
        return f'no Python: {error.msg}'
    if isinstance(error, UnicodeDecodeError):
        return 'no text in UTF-8'
    if isinstance(error, ImportError) and isinstance(error.__cause__, ImportError):
        while isinstance(error.__context__, ImportError):       # mmengine says it twice over
            error = error.__context__
        return f'custom_imports: {error}'
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    return f'{type(error).__name__}: {" ".join(text.split())[:300]}'


def read_config(path: str) -> Config:
    """Read a config file, or ``PACKAGE::NAME`` of an installed package.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is a checkpoint, or cannot be read; names the file, also where it is a base,
            and the line.
    """
    if '::' in path:
        path = Config._get_cfg_path(path, '')[0]
    else:
        if not os.path.isfile(path):
            raise MissingFile(f'config {path}: no such file (looked in {os.getcwd()})')
        if Path(path).suffix in WEIGHT_SUFFIXES:
            raise WrongValue(f'config {path} is a file of weights; expected a config (.py); '
                             f'{SWAPPED}')
        if Path(path).suffix not in CONFIG_SUFFIXES:
            raise WrongValue(f'config {path}: expected a file in {", ".join(CONFIG_SUFFIXES)}')
    try:
        cfg = Config.fromfile(path)
    except Exception as error:      # whatever Python in a config raises
        raise WrongValue(f'config {_place(error, path)}: {_reason(error)}') from error
    return cfg


def require_parts(cfg: Config, name: str, parts: Iterable[str] = ()) -> None:
    """Check that a config has a model and the other parts that a command needs, before building.

    Args:
        name: of the config, for the message.

    Raises:
        ValueError: the config lacks some, or has them as None; or the model has no type.
    """
    lacking = [part for part in ('model', *parts) if cfg.get(part) is None]
    if lacking:
        there = ', '.join(sorted(key for key in cfg if cfg[key] is not None)) or 'nothing'
        raise WrongValue(f'config {name} has no {", no ".join(lacking)}; it has {there[:300]}')
    if 'type' not in cfg.model:
        raise WrongValue(f'config {name}: model={str(cfg.model)[:100]}; expected a dict with type')


def require_checkpoint(path: str) -> None:
    """Check that a checkpoint is there before anything is built; a URL is not looked up.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is a config.
    """
    if '://' in path:
        return
    if not os.path.isfile(path):
        raise MissingFile(f'checkpoint {path}: no such file (looked in {os.getcwd()})')
    if Path(path).suffix in CONFIG_SUFFIXES:
        raise WrongValue(f'checkpoint {path} is a config; expected a file of weights; {SWAPPED}')
