"""The peak of what lives in a training step and did not before it."""
from __future__ import annotations

import weakref
from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter


class LiveStorages(TorchDispatchMode):
    """Counts the bytes of storages that operators made while the mode was on and still live."""

    def __init__(self) -> None:
        super().__init__()
        self.known, self.live, self.peak = {}, 0, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        before = {self.key(t) for t in tree_iter((args, kwargs)) if isinstance(t, Tensor)}
        for tensor in tree_iter(result):
            if isinstance(tensor, Tensor) and self.key(tensor) not in before | self.known.keys():
                self.add(tensor.untyped_storage())
        return result

    @staticmethod
    def key(tensor: Tensor) -> int:
        return tensor.untyped_storage()._cdata

    def add(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        self.known[key] = weakref.ref(storage, lambda _: self.drop(key, size))
        self.live += size
        self.peak = max(self.peak, self.live)

    def drop(self, key: int, size: int) -> None:
        del self.known[key]
        self.live -= size


def peak_mb(step: Callable, device: torch.device) -> float:
    """Return the peak of what lives in a step and did not before it, in MB."""
    if device.type == 'cuda':
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    with LiveStorages() as storages:
        step()
    return storages.peak / 2**20
