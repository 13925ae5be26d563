"""The config text in a checkpoint: read without running it, and compared."""
from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from typing import Any

from mmengine.config import Config

from mmdense.checkpoints.load_report import listing
from mmdense.mistakes import WrongValue

from .launch import say

#: parts of a config that a training follows; the others may change freely
TRAINING = ('model', 'data_preprocessor', 'train_dataloader', 'train_cfg', 'optim_wrapper',
            'param_scheduler', 'sync_bn')
#: settings in these parts that change nothing of a run that goes on
HARMLESS = re.compile(
    r'(^|\.)(init_cfg|pretrained)(\.|$)'
    r'|^train_dataloader\.(num_workers|persistent_workers|pin_memory|prefetch_factor|timeout)$'
    r'|^train_cfg\.(val_\w+|dynamic_intervals.*|fast_forward_on_resume)$')
ABSENT = 'not set'

Changes = dict[str, tuple[Any, Any]]


class Unread(str):
    """Source text of a value that is no literal, such as the name of a class."""


def _value(node: ast.expr) -> Any:
    """Return the value of a literal or of ``dict(…)`` calls; the text of a name.

    Raises:
        ValueError: anything that would have to be run.
    """
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        return [_value(item) for item in node.elts]
    if isinstance(node, ast.Dict) and None not in node.keys:
        return {_value(key): _value(value)
                for key, value in zip(node.keys, node.values, strict=True)}
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        number = _value(node.operand)
        if isinstance(number, (int, float)):
            return -number if isinstance(node.op, ast.USub) else number
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == 'dict' \
            and all(keyword.arg for keyword in node.keywords) \
            and all(isinstance(part, ast.Dict) for part in node.args[:1]) and not node.args[1:]:
        # keys that are no names stand in braces inside
        return {key: value for part in node.args for key, value in _value(part).items()} \
            | {keyword.arg: _value(keyword.value) for keyword in node.keywords}
    if isinstance(node, ast.Name) and node.id in ('inf', 'nan'):
        return float(node.id)
    names = node
    while isinstance(names, ast.Attribute):
        names = names.value
    if isinstance(names, ast.Name):
        return Unread(ast.unparse(node))
    raise WrongValue(f'line {node.lineno}: {ast.unparse(node)[:60]} is no literal')


def read_config_text(text: str) -> dict[str, Any]:
    """Return the settings of a config's text, as mmengine writes it; nothing of it is run.

    Tuples come as lists, names of classes as :class:`Unread`.

    Raises:
        ValueError: it holds something else than settings: calls, imports, computations.
    """
    try:
        statements = ast.parse(text).body
    except (SyntaxError, RecursionError) as error:
        raise WrongValue(f'no Python text: {error}') from None
    found = {}
    for node in statements:
        if not (isinstance(node, ast.Assign) and len(node.targets) == 1
                and isinstance(node.targets[0], ast.Name)):
            raise WrongValue(f'line {node.lineno}: {ast.unparse(node)[:60]} sets nothing')
        try:
            found[node.targets[0].id] = _value(node.value)
        except (TypeError, RecursionError) as error:    # a list as a key, a thousand brackets
            raise WrongValue(f'line {node.lineno}: {error}') from None
    return found


def plain(value: Any) -> Any:
    """Return a config, or a value of one, as :func:`read_config_text` returns it."""
    if isinstance(value, (dict, Config)):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain(item) for item in value]
    if isinstance(value, type):
        where = '' if value.__module__ == 'builtins' else f'{value.__module__}.'
        return Unread(f'{where}{value.__name__}')
    if isinstance(value, (str, int, float, bool, bytes)) or value is None:
        return value
    return Unread(value)


def differences(old: Any, new: Any, name: str = '') -> Changes:
    """Return (old, new) of the settings that differ, by dotted name; ``'not set'`` where none."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys: Iterable = dict.fromkeys([*old, *new])
        pairs = [(key, old.get(key, ABSENT), new.get(key, ABSENT)) for key in keys]
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = [(str(place), *pair) for place, pair in enumerate(zip(old, new, strict=True))]
    else:
        return {} if old == new or repr(old) == repr(new) else {name: (old, new)}
    return {place: pair for key, before, now in pairs
            for place, pair in differences(before, now, f'{name}.{key}'.lstrip('.')).items()}


def read_changes(meta: Mapping, cfg: Any, name: str) -> Changes:
    """Return what of a run's training differs from the config in its checkpoint ``name``."""
    if not meta.get('cfg'):
        say(f'resuming: {name} holds no config, settings are not compared')
        return {}
    try:
        before = read_config_text(meta['cfg'])
    except ValueError as error:
        say(f'resuming: the config in {name} is not read ({error}), settings are not compared')
        return {}
    before, now = ({key: config[key] for key in TRAINING if key in config}
                   for config in (before, plain(cfg)))
    return {key: pair for key, pair in differences(before, now).items() if not HARMLESS.search(key)}


def told(changes: Changes, most: int = 6) -> str:
    """Return changes in words."""
    parts = []
    for key, (old, new) in changes.items():
        before, now = (text if len(text := str(value)) <= 60 else f'{text[:60]}…'
                       for value in (old, new))
        parts.append(f'{key} {before} -> {now}')
    return listing('', parts, most)


def of(changes: Changes, pattern: re.Pattern | str) -> Changes:
    """Return the changes whose names match."""
    return {key: pair for key, pair in changes.items() if re.search(pattern, key)}
