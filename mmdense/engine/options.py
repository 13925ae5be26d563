"""``--cfg-options``: taken as typed; one that the config has no place for is an error."""
from __future__ import annotations

import argparse
import difflib
import os
import re
from collections.abc import Iterator, Sequence
from typing import Any

from mmengine.config import Config, DictAction

from mmdense.mistakes import WrongValue

#: top-level keys that mmengine's runner reads
RUNNER_KEYS = frozenset((
    'model', 'work_dir', 'train_dataloader', 'val_dataloader', 'test_dataloader', 'train_cfg',
    'val_cfg', 'test_cfg', 'auto_scale_lr', 'optim_wrapper', 'param_scheduler', 'val_evaluator',
    'test_evaluator', 'default_hooks', 'custom_hooks', 'data_preprocessor', 'load_from', 'resume',
    'launcher', 'env_cfg', 'log_processor', 'log_level', 'visualizer', 'default_scope',
    'randomness', 'experiment_name', 'sync_bn', 'find_unused_parameters', 'model_wrapper_cfg',
    'activation_checkpointing', 'efficient_conv_bn_eval', 'compile', 'strategy', 'runner_type'))
#: those that our tools read
TOOL_KEYS = frozenset(('recipe', 'tta_model', 'tta_pipeline'))
KNOWN_KEYS = RUNNER_KEYS | TOOL_KEYS

#: last part of a key whose value is a file or a folder
_PATH = re.compile(r'(^|_)(root|path|file|dir|checkpoint|folder|load_from)$')


class ConfigOptions(argparse.Action):
    """Collect words ``KEY=VALUE`` as texts; :func:`merge_options` gives them their types."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace,
                 values: Sequence[str], option_string: str | None = None) -> None:
        options = dict(getattr(namespace, self.dest, None) or {})
        for word in values:
            key, equals, text = word.partition('=')
            if not (key and equals):
                parser.error(f'{option_string} {word}: expected KEY=VALUE (put a value with blanks '
                             'in quotes)')
            options[key] = text
        setattr(namespace, self.dest, options)


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--cfg-options`` to a tool's arguments."""
    parser.add_argument('--cfg-options', nargs='+', action=ConfigOptions, metavar='KEY=VALUE',
                        help='change settings of the config: model.backbone.depth=18 '
                             'key="[a,b]" (quotes, no white space)')


def parse_launched(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Return the arguments of a tool that launchers start, ``--launcher`` among them."""
    add_config_options(parser)
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'],
                        default='none', help='how the processes were started')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    args = parser.parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def find(cfg: Any, key: str) -> Any:
    """Return what stands under a dotted key (numbers are places in lists), None if nothing."""
    for part in key.split('.'):
        if isinstance(cfg, (list, tuple)) and part.isdigit() and int(part) < len(cfg):
            cfg = cfg[int(part)]
        elif isinstance(cfg, (dict, Config)) and part in cfg:
            cfg = cfg[part]
        else:
            return None
    return cfg


def is_path(key: str, current: Any) -> bool:
    """Return whether a key's value is a path: by its name, or by what stands there."""
    *parents, leaf = key.split('.')
    named = bool(_PATH.search(leaf)) or (bool(parents) and parents[-1] == 'data_prefix')
    if isinstance(current, str):
        return named or os.sep in current
    return named and not isinstance(current, (bool, int, float))


def typed(key: str, text: str, current: Any) -> Any:
    """Return the value of the words ``key=text``.

    Types are mmengine's (numbers, True, None, lists), except that blanks stay and that a path is
    the text as it was typed, with ``~`` expanded; of paths in brackets, each.

    Raises:
        ValueError: brackets that do not match.
    """
    plain = text[1:-1] if text[:1] == text[-1:] and text[:1] in tuple('\'"') and text[1:] else text
    if is_path(key, current):
        if plain == 'None':
            return None
        if (plain[:1], plain[-1:]) in (('[', ']'), ('(', ')')):
            parts = [os.path.expanduser(part.strip(' \'"')) for part in plain[1:-1].split(',')]
            return parts if plain[0] == '[' else tuple(parts)
        if isinstance(current, (list, tuple)) and ',' in plain:
            return [os.path.expanduser(part) for part in plain.split(',')]
        return os.path.expanduser(plain)
    try:
        value = DictAction._parse_iterable(text)
    except (AssertionError, IndexError):
        raise WrongValue(f'--cfg-options {key}={text}: brackets do not match') from None
    return plain if isinstance(value, str) else value


def dotted(node: Any, prefix: str = '') -> Iterator[tuple[str, Any]]:
    """Yield (dotted key, value) of everything in a config, containers before what they hold."""
    if isinstance(node, (dict, Config)):
        items = list(node.items())
    elif isinstance(node, (list, tuple)):
        items = list(enumerate(node))
    else:
        return
    for name, value in items:
        yield f'{prefix}{name}', value
        yield from dotted(value, f'{prefix}{name}.')


def _meant(cfg: Config, key: str) -> list[str]:
    """Return the keys that the user may have meant by one that nothing reads, shortest first."""
    known = {name: value for name, value in dotted(cfg) if name.split('.')[0] in KNOWN_KEYS}
    top, dot, rest = key.partition('.')
    leaf = key.rpartition('.')[2]
    found = [name for name in known if name.endswith(f'.{key}')]
    if not found and top in cfg and cfg[top] not in (None, True, False, 0, 1):
        # a variable: what was made of it has its value
        found = [f'{name}{dot}{rest}' for name, value in known.items()
                 if type(value) is type(cfg[top]) and value == cfg[top]]
    if not found:
        close = difflib.get_close_matches(top, KNOWN_KEYS, n=1)
        found = [f'{name}{dot}{rest}' for name in close if not rest or f'{name}.{rest}' in known]
    if not found and leaf in ('max_iters', 'max_epochs'):
        found = [f'train_cfg.{leaf}']
    if not found:
        leaves = {name.rpartition('.')[2] for name in known}
        close = difflib.get_close_matches(leaf, leaves, n=2, cutoff=0.75)
        found = [name for name in known if name.rpartition('.')[2] in close]
    return sorted(found, key=lambda name: name.count('.'))


def check_options(cfg: Config, keys: Sequence[str]) -> None:
    """Refuse options that would change nothing.

    A config is complete when it is read: its own variables (``iterations``, ``crop_size``) have
    been copied to where they are used, and a new top-level key is read by nobody.

    Raises:
        ValueError: with the keys that were probably meant.
    """
    complaints = []
    for key in keys:
        top = key.split('.')[0]
        if top in KNOWN_KEYS:
            continue
        why = (f"'{top}' is a variable inside the config, already used when options come"
               if top in cfg else f"the config has no '{top}' and nothing reads it")
        found = _meant(cfg, key)
        more = f', … ({len(found)} in all)' if len(found) > 5 else ''
        complaints.append(f'{key} changes nothing: {why}' + (
            f'; perhaps you meant {", ".join(found[:5])}{more}' if found else ''))
    if complaints:
        raise WrongValue('--cfg-options ' + '\n'.join(complaints))


def merge_options(cfg: Config, options: dict[str, Any] | None) -> dict[str, Any]:
    """Change a config in place by options, texts as typed or values; return the values.

    Raises:
        ValueError: an option that would change nothing, or that does not fit the config.
    """
    values = {}
    check_options(cfg, list(options or ()))
    for key, value in (options or {}).items():
        if isinstance(value, str):
            value = typed(key, value, find(cfg, key))
        values[key] = value
        try:
            cfg.merge_from_dict({key: value})
        except (AssertionError, KeyError, TypeError, IndexError, ValueError) as error:
            raise WrongValue(f'--cfg-options {key}={value} does not fit the config, which has '
                             f'{_nearest(cfg, key)}: {error}') from None
    return values


def _nearest(cfg: Config, key: str) -> str:
    """Return the longest part of a dotted key that the config has, with a short value."""
    parts = key.split('.')
    for length in range(len(parts), 0, -1):
        name = '.'.join(parts[:length])
        found = find(cfg, name)
        if found is not None:
            text = repr(found)
            return f'{name}={text[:80]}{"…" if text[80:] else ""}'
    return f'no {parts[0]}'
