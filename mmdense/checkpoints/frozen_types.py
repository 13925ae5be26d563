"""Harmless stand-ins for the few globals that mmengine's own checkpoints name in their pickle.

mmengine saves its log (``HistoryBuffer``: numpy arrays and its own methods, pickled as
``getattr(HistoryBuffer, 'mean')``). To allow the real ``getattr``, ``numpy.ndarray`` and
``HistoryBuffer.__setstate__`` would be an open door: ``getattr`` of any allowed function gives
its ``__globals__``, into which a pickle may write, and ``__setstate__`` puts functions of the
file's choice into a table of the whole process. So the unpickler gets these stand-ins under the
real names. They only hold plain values, and :func:`thaw` turns them into the real things after
the pickle has ended.
"""
from __future__ import annotations

from argparse import Namespace
from pickle import UnpicklingError
from typing import Any

import numpy as np
from mmengine.logging import HistoryBuffer

#: kinds of numpy values that are nothing but numbers or text
PLAIN_KINDS = 'biufcSU'


class FrozenDtype:
    """A ``numpy.dtype`` of plain numbers or text, by its code (``'f8'``)."""

    def __init__(self, code: str, *flags: bool) -> None:
        self.code, self.order = code, '='

    def __setstate__(self, state: tuple) -> None:
        self.order = state[1] if state[1] in ('<', '>') else '='

    def thaw(self) -> np.dtype:
        dtype = np.dtype(self.code)
        if dtype.kind not in PLAIN_KINDS:
            raise UnpicklingError(f"GLOBAL numpy.dtype('{dtype}')")
        return dtype.newbyteorder(self.order)


class FrozenArray:
    """A ``numpy.ndarray``: shape, dtype, order and bytes."""

    def __setstate__(self, state: tuple) -> None:
        self.state = state

    def thaw(self) -> np.ndarray:
        _, shape, dtype, fortran, raw = self.state
        flat = np.frombuffer(raw, dtype.thaw())
        # astype copies (a view of bytes is read-only), and swaps bytes as numpy's own reader does
        native = flat.astype(flat.dtype.newbyteorder('='))
        return native.reshape(shape, order='F' if fortran else 'C')


class FrozenHistory(HistoryBuffer):
    """A ``HistoryBuffer`` that takes the numbers of its saved state and none of its methods."""

    def __setstate__(self, state: dict) -> None:
        # nothing can reach the real class's __setstate__ through this object afterwards
        self.__class__ = HistoryBuffer
        HistoryBuffer.__init__(self, thaw(state['_log_history']), thaw(state['_count_history']),
                               int(state['max_length']))


def frozen_array(kind: type, shape: tuple, code: bytes) -> FrozenArray:
    """Stand in for ``numpy.core.multiarray._reconstruct``, which makes an empty array."""
    return FrozenArray()


def frozen_scalar(dtype: FrozenDtype, raw: bytes) -> np.generic:
    """Stand in for ``numpy.core.multiarray.scalar``: return the number or text."""
    return np.frombuffer(raw, dtype.thaw())[0]


def frozen_bytes() -> bytes:
    """Stand in for ``bytes``: what an empty array's content is pickled as."""
    return b''


def frozen_getattr(owner: Any, name: str) -> None:
    """Stand in for ``getattr``: the saved methods of ``HistoryBuffer`` become None.

    Raises:
        UnpicklingError: an attribute of anything else.
    """
    if owner is not FrozenHistory:
        raise UnpicklingError('GLOBAL builtins.getattr')


def safe_globals() -> list[tuple[Any, str]]:
    """Return what the unpickler may use beyond torch's own list, each with its name in a file."""
    allowed = [(FrozenHistory, 'mmengine.logging.history_buffer.HistoryBuffer'),
               (frozen_getattr, 'builtins.getattr'), (frozen_bytes, 'builtins.bytes'),
               (slice, 'builtins.slice'),
               (FrozenArray, 'numpy.ndarray'), (FrozenDtype, 'numpy.dtype'),
               # settings that DINO, PixPro and others save beside the weights: only a bag
               (Namespace, 'argparse.Namespace')]
    for core in ('numpy.core', 'numpy._core'):  # numpy 1 and numpy 2
        allowed += [(frozen_array, f'{core}.multiarray._reconstruct'),
                    (frozen_scalar, f'{core}.multiarray.scalar')]
    return allowed


def thaw(value: Any, seen: dict[int, Any] | None = None) -> Any:
    """Return ``value`` with numpy arrays in place of their stand-ins; lists and dicts in place."""
    seen = {} if seen is None else seen
    if id(value) in seen:
        return seen[id(value)]
    if isinstance(value, (FrozenArray, FrozenDtype)):
        return value.thaw()
    if type(value) is tuple:
        seen[id(value)] = tuple(thaw(item, seen) for item in value)
        return seen[id(value)]
    if isinstance(value, Namespace):
        thaw(vars(value), seen)
    if isinstance(value, (dict, list)):
        seen[id(value)] = value
        for key in value if isinstance(value, dict) else range(len(value)):
            value[key] = thaw(value[key], seen)
    return value
