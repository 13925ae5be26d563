"""Options of a config: as command-line words, and those that scale its schedule."""
from __future__ import annotations

import copy
from functools import lru_cache
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmdense.engine.options import merge_options, typed
from mmdense.mistakes import WrongValue
from mmdense.models.selfsup.traits import warmups_of

#: numbers of iterations in a part of ``param_scheduler``, beside begin and end
ITERATIONS = ('T_max', 'total_steps', 'step_size')


def _word(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        brackets = '[]' if isinstance(value, list) else '()'
        return brackets[0] + ','.join(map(_word, value)) + brackets[1]
    return value if isinstance(value, str) else repr(value)


def format_options(options: dict[str, Any], where: str) -> list[str]:
    """Return options as the words ``KEY=VALUE`` of ``--cfg-options``.

    Args:
        options: by dotted name.
        where: they stand, for messages.

    Raises:
        ValueError: a value that the command line would not give back, such as a dict.
    """
    words = []
    for key, value in options.items():
        word = _word(value)
        try:
            back = typed(key, word, None)
        except ValueError:
            back = None, word
        if back != value or type(back) is not type(value):
            raise WrongValue(f'{where}: {key}={value!r} cannot be given on a command line; '
                             'expected a number, a plain string, True, False, None or a list of '
                             'such. Write a config with it')
        words.append(f'{key}={word}')
    return words


@lru_cache(maxsize=64)
def _read(path: str, modified: int) -> Config:
    return Config.fromfile(path)


def read_with(path: Any, options: dict[str, Any]) -> Config:
    """Return a config with options merged into it, as a command with ``--cfg-options`` reads it.

    Raises:
        ValueError: the file is no config, or the options do not fit it.
    """
    try:
        # every row and seed asks for the same few files
        cfg = copy.deepcopy(_read(str(path), Path(path).stat().st_mtime_ns))
        merge_options(cfg, options)
    except Exception as error:     # whatever Python in the config raises
        raise WrongValue(f'config {path} with options {options} could not be read: '
                         f'{type(error).__name__}: {error}') from None
    return cfg


def iterations_of(cfg: Config, name: Any) -> int:
    """Return ``train_cfg.max_iters``.

    Raises:
        ValueError: the config has none, such as one that counts epochs.
    """
    found = (cfg.get('train_cfg') or {}).get('max_iters')
    if not isinstance(found, int) or found < 1:
        raise WrongValue(f'{name}: train_cfg.max_iters={found!r}; a row of a table is trained '
                         'with a config that counts iterations')
    return found


def scaled(count: float, budget: float) -> int:
    """Return ``budget`` times a number of iterations, rounded; 0 stays 0, others are 1 at least."""
    return max(round(count * budget), 1) if count else 0


def _part_options(part: dict, budget: float) -> dict[str, Any]:
    found = {key: scaled(part[key], budget) for key in ('begin', 'end', *ITERATIONS)
             if isinstance(part.get(key), int)}
    if isinstance(part.get('milestones'), (list, tuple)):
        found['milestones'] = [scaled(one, budget) for one in part['milestones']]
    if 'end' in found:
        # mmengine refuses a part without a step
        found['end'] = max(found['end'], found.get('begin', 0) + 1)
    return found


def budget_options(cfg: Config, budget: float, name: Any) -> dict[str, Any]:
    """Return the options that make a config's schedule ``budget`` times as long.

    Scaled are ``train_cfg.max_iters`` and ``val_interval``, every part of ``param_scheduler``, the
    checkpoint interval (to a multiple of accumulated iterations), and a method's warm-ups.

    Args:
        cfg: with all other options.
        budget: above 0; 1 = as it stands.
        name: of the config, for messages.

    Raises:
        ValueError: a config or scheduler that counts epochs.
    """
    iterations = iterations_of(cfg, name)
    if budget == 1:
        return {}
    found: dict[str, Any] = {'train_cfg.max_iters': scaled(iterations, budget)}
    if isinstance(cfg.train_cfg.get('val_interval'), int):
        found['train_cfg.val_interval'] = scaled(cfg.train_cfg.val_interval, budget)
    parts = cfg.get('param_scheduler') or []
    single = isinstance(parts, dict)
    for number, part in enumerate([parts] if single else parts):
        # mmengine counts epochs where nothing is said
        if part.get('by_epoch', True):
            raise WrongValue(f'{name}: param_scheduler[{number}] counts epochs; a budget scales '
                             'by_epoch=False')
        place = 'param_scheduler' if single else f'param_scheduler.{number}'
        found |= {f'{place}.{key}': value for key, value in _part_options(part, budget).items()}
    hook = (cfg.get('default_hooks') or {}).get('checkpoint') or {}
    if isinstance(hook.get('interval'), int) and hook['interval'] > 0:
        counts = (cfg.get('optim_wrapper') or {}).get('accumulative_counts', 1)
        found['default_hooks.checkpoint.interval'] = \
            -(-scaled(hook['interval'], budget) // counts) * counts
    found |= {f'model.{key}': scaled(value, budget)
              for key, value in warmups_of(cfg.model).items()}
    return found
