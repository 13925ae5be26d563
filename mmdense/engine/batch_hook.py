"""One clear error for an epoch without a batch, and for a batch of one under BatchNorm."""
from __future__ import annotations

from functools import partial

from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.nn import SyncBatchNorm
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import DataLoader

from mmdense.datasets.samplers import ResumableSampler
from mmdense.mistakes import WrongValue
from mmdense.registry import HOOKS


def batch_size_of(loader: DataLoader) -> tuple[int | None, bool]:
    """Return a loader's batch size, None if not known, and whether its sampler has no end."""
    return (loader.batch_size or getattr(loader.batch_sampler, 'batch_size', None),
            isinstance(loader.sampler, ResumableSampler) or hasattr(loader.sampler, 'skip'))


def smallest_batch(loader: DataLoader) -> int | None:
    """Return the size of a process's smallest batch in an epoch; None if it cannot be known."""
    batch, endless = batch_size_of(loader)
    if batch is None or endless or loader.drop_last:
        return batch
    return len(loader.sampler) % batch or batch


def refuse_no_batch(loader: DataLoader) -> None:
    """Raise if a loader drops the only batch that an epoch would have.

    Raises:
        ValueError: with the numbers and the ways out.
    """
    batch, endless = batch_size_of(loader)
    if endless or batch is None or not loader.drop_last or len(loader.sampler) >= batch:
        return
    images = len(loader.sampler)
    raise WrongValue(
        f'an epoch has no iteration: {len(loader.dataset)} images give each process {images}, '
        f'fewer than train_dataloader.batch_size={batch}, and drop_last=True drops what does not '
        f'fill a batch; use a batch_size of at most {images}, or train_dataloader.drop_last=False')


def refuse_one_value(module: nn.Module, inputs: tuple[Tensor, ...], name: str, batch: int) -> None:
    """Raise if a BatchNorm in training would have to take a variance from one value per channel.

    Raises:
        ValueError: with the layer, the batch size and the ways out.
    """
    x = inputs[0]
    if module.training and x.numel() == x.shape[1]:
        raise WrongValue(
            f'a training batch of one image (train_dataloader.batch_size={batch} per process): '
            f'BatchNorm {name} gets a single value per channel, {tuple(x.shape)}, which has no '
            'variance; use a batch_size of 2 or more, train_dataloader.drop_last=True if it is '
            "the epoch's last batch, or norm_cfg=dict(type='GN', num_groups=32)")


@HOOKS.register_module()
class BatchOfOneHook(Hook):
    """Watches the BatchNorm layers where a process can get a training batch of one image.

    Only a layer that really gets one value per channel is refused (behind global pooling, on
    vectors, on a map of 1 x 1): a map with more cells trains. SyncBN over several processes has
    their batches and is left alone. An epoch without any batch is refused as well.
    """

    def before_train(self, runner: Runner) -> None:
        loader = runner.train_dataloader
        refuse_no_batch(loader)
        if smallest_batch(loader) not in (None, 1):
            return
        for name, module in runner.model.named_modules():
            if isinstance(module, _BatchNorm) and not isinstance(module, SyncBatchNorm):
                module.register_forward_pre_hook(
                    partial(refuse_one_value, name=name, batch=loader.batch_size))
