"""Registries of scope ``mmdense``: each is a child of mmengine's registry of the same kind.

A component of ours is named with its scope in a config (``type='mmdense.DenseCL'``), so that
``default_scope = 'mmseg'`` stays and stock names (``ResNet``, ``IoUMetric``) keep their meaning.
``locations`` are imported when a name is first looked up.
"""
from __future__ import annotations

import difflib
from typing import Any

from mmengine import registry as mmengine_registry
from mmengine.registry import Registry

from .mistakes import Mistake


class UnknownComponent(Mistake, KeyError):
    """A name of scope ``mmdense`` that nobody registered; prints its message without quotes."""

    def __str__(self) -> str:
        return str(self.args[0])


class MMDenseRegistry(Registry):
    """A registry that answers an unknown name of its own scope with the nearest known names."""

    def get(self, key: str) -> Any:
        """Return the class registered as ``key``, here or in a parent.

        Raises:
            UnknownComponent: nobody registered ``key``; the message lists the nearest names.
        """
        found = super().get(key)
        scope, name = self.split_scope_key(key)
        if found is None and scope in (None, self.scope):
            known = sorted(self.module_dict)
            near = difflib.get_close_matches(name, known, n=3, cutoff=0.5) or known
            raise UnknownComponent(
                f"'{self.scope}.{name}' is not a registered {self.name} of MMDense; "
                f'nearest: {", ".join(f"{self.scope}.{n}" for n in near) or "none registered"}')
        return found


def _child(name: str, parent: str, *locations: str) -> MMDenseRegistry:
    return MMDenseRegistry(name, parent=getattr(mmengine_registry, parent), scope='mmdense',
                           locations=[f'mmdense.{location}' for location in locations])


MODELS = _child('model', 'MODELS', 'models')
MODEL_WRAPPERS = _child('model wrapper', 'MODEL_WRAPPERS', 'engine')
OPTIM_WRAPPERS = _child('optimizer wrapper', 'OPTIM_WRAPPERS', 'engine')
OPTIMIZERS = _child('optimizer', 'OPTIMIZERS', 'engine')
WEIGHT_INITIALIZERS = _child('weight initializer', 'WEIGHT_INITIALIZERS', 'checkpoints')
DATASETS = _child('dataset', 'DATASETS', 'datasets')
DATA_SAMPLERS = _child('data sampler', 'DATA_SAMPLERS', 'datasets')
TRANSFORMS = _child('transform', 'TRANSFORMS', 'datasets')
FUNCTIONS = _child('function', 'FUNCTIONS', 'datasets')
HOOKS = _child('hook', 'HOOKS', 'engine', 'evaluation', 'checkpoints')
LOOPS = _child('loop', 'LOOPS', 'evaluation')
