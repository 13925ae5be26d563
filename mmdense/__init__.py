"""MMDense: pretraining for dense prediction inside the OpenMMLab world.

Importing it makes its registries known and other packages behave; components, and the models of
mmseg and mmpretrain with them, are imported when a config first names one.
"""
from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from .version import __version__

try:
    import mmcv  # noqa: F401
    import mmengine  # noqa: F401
    import mmseg  # noqa: F401
    if find_spec('mmpretrain') is None:     # importing it takes all its models along
        raise ModuleNotFoundError("No module named 'mmpretrain'", name='mmpretrain')
except ImportError as error:
    raise ImportError(
        f'MMDense needs the OpenMMLab packages and found no usable {error.name or "one"} '
        f'({error}): pip install "mmdense[onedl]"') from None

from . import compat, registry  # noqa: F401  (a registry is found by its scope once it is there)
from .installed_configs import BASE

compat.setup()

_PARTS = ('checkpoints', 'datasets', 'engine', 'evaluation', 'models')
__all__ = ['BASE', '__version__', 'compat', *_PARTS]


def __getattr__(name: str) -> ModuleType:
    if name in _PARTS:
        return import_module(f'{__name__}.{name}')
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
