"""Where in a checkpoint the tensors of a backbone are.

Nothing is known by file: a checkpoint is a dict of tensors or holds such dicts (``state_dict``,
``model``, …), and whatever stands before the backbone's own names is a prefix (``backbone.``,
``module.encoder_q.``, ``twin.backbone.``, none). The prefix under which most tensors fit by
name and shape is taken. Ties, in this order: tensors that fit by name alone; a trained
(student) network before one that follows it; the module's own names before shortened ones;
the shorter prefix; the container's place in ``CONTAINERS``, then in the file.
"""
from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor

#: names under which files keep weights, preferred first; '' is the file's top level
CONTAINERS = ('', 'state_dict', 'model', 'student', 'teacher', 'model_ema')

#: a name in a prefix that says: a slowly following copy
FOLLOWERS = {'twin', 'teacher', 'target', 'target_net', 'target_encoder', 'encoder_k',
             'key_encoder', 'momentum_encoder', 'ema', 'model_ema', 'ema_state_dict'}


class Selection(NamedTuple):
    """The part of a checkpoint that belongs to a backbone.

    Attributes:
        container: top-level key of the file, '' for the file itself.
        prefix: what stands before the backbone's names, '' or ending in a dot.
        tensors: the file's tensors under the prefix, by the module's name where the module has
            such a tensor and by the file's otherwise.
        others: names in the file's container outside the prefix.
    """

    container: str
    prefix: str
    tensors: dict[str, Tensor]
    others: list[str]

    @property
    def place(self) -> str:
        """Where the tensors are, in words."""
        under = f"under '{self.prefix}'" if self.prefix else 'without prefix'
        return f"in '{self.container}' {under}" if self.container else under


def containers(checkpoint: Mapping) -> dict[str, dict[str, Tensor]]:
    """Return the dicts of named tensors that a checkpoint holds, preferred first."""
    parts = {'': checkpoint, **{k: v for k, v in checkpoint.items() if isinstance(v, Mapping)}}
    found = {}
    for key in sorted(parts, key=lambda k: CONTAINERS.index(k) if k in CONTAINERS else 99):
        tensors = {name: value for name, value in parts[key].items()
                   if isinstance(name, str) and isinstance(value, Tensor)}
        if tensors and isinstance(key, str):
            found[key] = tensors
    return found


def spellings(names: list[str]) -> list[dict[str, str]]:
    """Return {name in the file: name in the module} for each way a file may spell the names.

    A wrapper of the module that a file need not have (``timm_model.``) is left out, and timm's
    flattened stages (``stages_0.``) are tried as ``stages.0.``.
    """
    ways, short = [{name: name for name in names}], list(names)
    while short and len({name.split('.')[0] for name in short}) == 1 and '.' in short[0]:
        short = [name.partition('.')[2] for name in short]
        ways.append(dict(zip(short, names, strict=True)))
    for way in list(ways):
        nested = {re.sub(r'^([a-z]+)_(\d+)\.', r'\1.\2.', n): own for n, own in way.items()}
        if nested != way:
            ways.append(nested)
    return ways


def prefixes(keys: list[str], names: Mapping[str, str]) -> list[str]:
    """Return every prefix that ``keys`` have before one of ``names``."""
    found = {}
    for key in keys:
        start = 0
        while True:
            if key[start:] in names:
                found[key[:start]] = True
            start = key.find('.', start) + 1
            if start == 0:
                break
    return list(found)


def select(container: str, tensors: Mapping[str, Tensor], prefix: str,
           names: Mapping[str, str]) -> Selection:
    """Return the tensors of a container under ``prefix``, by the module's names."""
    inside = {key[len(prefix):]: key for key in tensors if key.startswith(prefix)}
    return Selection(container, prefix,
                     {names.get(short, short): tensors[key] for short, key in inside.items()},
                     [key for key in tensors if not key.startswith(prefix)])


def find_backbone(checkpoint: Mapping, target: Mapping[str, Tensor],
                  prefix: str | None = None) -> Selection | None:
    """Return the part of ``checkpoint`` that fits a module best, None where no name fits.

    Args:
        checkpoint: what :func:`read_checkpoint` returned.
        target: the module's tensors by name.
        prefix: take this part and no other, e.g. ``'twin.backbone.'`` or, with its container,
            ``'teacher.backbone.'``.
    """
    def rank(choice: tuple[int, Selection]) -> tuple:
        way, found = choice
        named = [n for n in found.tensors if n in target]
        fitting = sum(found.tensors[n].shape == target[n].shape for n in named)
        follows = not FOLLOWERS.isdisjoint([found.container, *found.prefix.split('.')])
        return -fitting, -len(named), follows, way, found.prefix.count('.')

    wanted = None if prefix is None else prefix.rstrip('.')
    choices = []
    for container, tensors in containers(checkpoint).items():
        for way, names in enumerate(spellings(list(target))):
            for found in prefixes(list(tensors), names):
                bare = found.rstrip('.')
                if wanted in (None, bare, f'{container}.{bare}'.strip('.')):
                    choices.append((way, select(container, tensors, found, names)))
    return min(choices, key=rank)[1] if choices else None
