"""Wrappers that let any model train on several processes, with GPUs or without, and in bfloat16."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.dist import all_reduce, get_world_size
from mmengine.logging import print_log
from mmengine.model import MMDistributedDataParallel, revert_sync_batchnorm
from mmengine.model.utils import detect_anomalous_params
from mmengine.optim import OptimWrapper
from torch import Tensor, nn
from torch.nn import SyncBatchNorm

from mmdense.mistakes import WrongValue
from mmdense.registry import MODEL_WRAPPERS, OPTIM_WRAPPERS


def average_gradients(parameters: list[nn.Parameter]) -> Tensor:
    """Average gradients over all processes in place; one that a process lacks counts as 0 there.

    Returns:
        (len(parameters),) bool: which parameters have a gradient on every process.
    """
    own = torch.tensor([p.grad is not None for p in parameters], device=parameters[0].device)
    found = own.int()
    all_reduce(found)
    share = 1 / get_world_size()
    for parameter, count in zip(parameters, found.tolist(), strict=True):
        if not count:
            continue
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        mean = parameter.grad.mul(share).contiguous()
        all_reduce(mean)
        parameter.grad.copy_(mean)
    return found == get_world_size()


@MODEL_WRAPPERS.register_module()
class DistributedDataParallel(MMDistributedDataParallel):
    """mmengine's distributed model, which finds out whether the loss reaches all parameters.

    torch wants to be told (``find_unused_parameters``) and otherwise fails at the second step.
    Here the first step averages the gradients by hand; only if some parameter had none, torch
    then looks for such parameters at each step, which costs time. With
    ``find_unused_parameters=True`` or ``static_graph=True`` in the config nothing is found out.
    """

    def __init__(self, module: nn.Module, **kwargs) -> None:
        super().__init__(module, **kwargs)
        self.settings = kwargs
        self.known = self.find_unused_parameters or self.static_graph

    def train_step(self, data: dict | tuple | list, optim_wrapper: OptimWrapper) -> dict:
        """Return the log variables of one training step, see mmengine.

        Raises:
            ValueError: after a first step that reached all parameters, one did not.
        """
        if self.known:
            try:
                return super().train_step(data, optim_wrapper)
            except RuntimeError as error:
                if 'finished reduction in the prior iteration' not in str(error):
                    raise
            raise WrongValue('the loss of the first step reached all parameters, a later one did '
                             'not, which several processes must know: set '
                             'find_unused_parameters=True in the config')
        logged, found = self._first_step(data, optim_wrapper)
        self.known = True
        if not found.all():
            self._find_unused(int((~found).sum()))
        return logged

    def _first_step(self, data: dict | tuple | list,
                    optim_wrapper: OptimWrapper) -> tuple[dict, Tensor]:
        """Make mmengine's step with gradients averaged by hand; also say which were everywhere."""
        with self.no_sync():
            with optim_wrapper.optim_context(self):
                data = self.module.data_preprocessor(data, training=True)
                losses = self._run_forward(data, mode='loss')
            loss, logged = self.module.parse_losses(losses)
            optim_wrapper.backward(optim_wrapper.scale_loss(loss))
        found = average_gradients([p for p in self.module.parameters() if p.requires_grad])
        if optim_wrapper.should_update():
            optim_wrapper.step()
            optim_wrapper.zero_grad()
        if self.detect_anomalous_params:
            detect_anomalous_params(loss, model=self)
        return logged, found

    def _find_unused(self, count: int) -> None:
        print_log(f'{count} parameters get no gradient: the processes look for them at each step '
                  '(find_unused_parameters=True)', 'current')
        training = self.training
        # torch takes the setting only at construction; nothing is held but the module
        self.__init__(self.module, **{**self.settings, 'find_unused_parameters': True})
        self.train(training)


@MODEL_WRAPPERS.register_module()
class CPUDistributedDataParallel(DistributedDataParallel):
    """The same for processes without a GPU (gloo).

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
    """The forward pass in bfloat16 autocast, on GPU or CPU; weights and their steps stay float32.

    bfloat16 has float32's range, so there is no loss scale and no skipped step. (mmengine's
    ``AmpOptimWrapper`` always scales, and asserts that there is a GPU.)
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        device = next(model.parameters()).device.type
        with super().optim_context(model), torch.autocast(device, torch.bfloat16):
            yield


def gpu_has_bfloat16() -> bool:
    """Whether there is a GPU that multiplies bfloat16 by itself (NVIDIA's since Ampere)."""
    return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
