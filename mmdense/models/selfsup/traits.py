"""What a method says of itself when all there is of it is a config."""
from __future__ import annotations

import inspect

from mmengine.registry import MODELS

from .base import DenseSSL


def method_class(model: dict) -> type[DenseSSL]:
    """Return the class of a model's config; of one that is no method, ``DenseSSL`` itself.

    Names without a scope are those of the default scope, as where models are built.
    """
    kind = model.get('type')
    if isinstance(kind, str):
        with MODELS.switch_scope_and_registry(None) as registry:
            kind = registry.get(kind)
    return kind if inspect.isclass(kind) and issubclass(kind, DenseSSL) else DenseSSL


def warmups_of(model: dict) -> dict[str, int]:
    """Return the optimiser steps of each of a method's ``warmups``, given in its config or not."""
    kind, found = method_class(model), {}
    for name in kind.warmups:
        given = (inspect.signature(base.__init__).parameters.get(name) for base in kind.__mro__)
        default = next(parameter.default for parameter in given if parameter is not None)
        found[name] = model.get(name, default)
    return found


def queues_of(model: dict) -> dict[str, tuple[dict, int]]:
    """Return settings of each queue that a method's config has, and the keys that an image adds."""
    keys = method_class(model).queue_keys(model)
    return {name: (model[name], count) for name, count in keys.items() if model.get(name)}


def followed_by_twin(model: dict) -> list[str]:
    """Return the names of the modules that the twin of a method's config follows."""
    names = 'backbone', 'decode_head', *getattr(method_class(model), 'heads', ())
    return [name for name in names if model.get(name)]
