"""What lets a config made for GPUs train on CPU processes too: a model and an optimiser wrapper."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.logging import print_log
from mmengine.model import MMDistributedDataParallel, revert_sync_batchnorm
from mmengine.optim import OptimWrapper
from torch import nn
from torch.nn import SyncBatchNorm

from mmdense.registry import MODEL_WRAPPERS, OPTIM_WRAPPERS


@MODEL_WRAPPERS.register_module()
class CPUDistributedDataParallel(MMDistributedDataParallel):
    """mmengine's distributed model for processes without a GPU (gloo).

    The runner passes GPU numbers, which DDP refuses on CPU, and SyncBN raises there as soon as
    there is a process group: it becomes plain BatchNorm, with the statistics of one process.
    """

    def __init__(self, module: nn.Module, device_ids: list[int] | None = None, **kwargs) -> None:
        if any(isinstance(layer, SyncBatchNorm) for layer in module.modules()):
            print_log('SyncBN does not run on CPU: each process normalises with the statistics of '
                      'its own batch', 'current', level=30)
            module = revert_sync_batchnorm(module)
        super().__init__(module, device_ids=None, **kwargs)


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """The forward pass in bfloat16 autocast on CPU; weights and their steps stay float32.

    bfloat16 has float32's range, so there is no loss scale. (On a GPU: mmengine's
    ``AmpOptimWrapper``, which asserts that there is one.)
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        with super().optim_context(model), torch.autocast('cpu', torch.bfloat16):
            yield
