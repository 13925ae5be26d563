"""Settings that must fit each other before a run: its length, its loaders, its learning rate."""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mmengine.config import Config
from mmengine.device import get_device

from mmdense.mistakes import WrongValue

from .launch import count_processes, say

#: training loops of mmengine: what they count, and the setting with its number
LOOPS = {'IterBasedTrainLoop': ('iterations', 'max_iters'),
         'EpochBasedTrainLoop': ('epochs', 'max_epochs')}
EPOCHS = ("for epochs write a config with train_cfg=dict(_delete_=True, "
          "type='EpochBasedTrainLoop', max_epochs=N), "
          "train_dataloader.sampler=dict(_delete_=True, type='DefaultSampler', shuffle=True), "
          'log_processor.by_epoch and default_hooks.checkpoint.by_epoch True, and param_scheduler '
          'in epochs')


def check_length(cfg: Config) -> None:
    """Check that ``train_cfg`` gives the run's length in what its loop counts.

    Raises:
        ValueError: no length, one in both iterations and epochs, or one of the other loop's.
    """
    train = cfg.get('train_cfg') or {}
    given = {key: train[key] for _, key in LOOPS.values() if train.get(key) is not None}
    kind = str(train.get('type') or '').rpartition('.')[2] or {
        True: 'EpochBasedTrainLoop', False: 'IterBasedTrainLoop'}.get(train.get('by_epoch'))
    if not kind:
        raise WrongValue("train_cfg has no type: expected e.g. dict(type='IterBasedTrainLoop', "
                         'max_iters=N)')
    if kind not in LOOPS:      # a loop of somebody's own
        return
    said = ', '.join(f'{key}={value}' for key, value in given.items()) or 'no length'
    counts, key = LOOPS[kind]
    if list(given) != [key]:
        raise WrongValue(f'train_cfg.type={kind} counts {counts}, expected train_cfg.{key} and no '
                         f'other length, and train_cfg has {said}; {EPOCHS}')
    if not isinstance(given[key], int) or given[key] < 1:
        raise WrongValue(f'train_cfg.{key}={given[key]!r}: expected a whole number, 1 or more')


def loaders(cfg: Config) -> Iterator[tuple[str, dict]]:
    """Yield the dotted name and the config of each data loader of a run."""
    for part in ('train', 'val', 'test'):
        if cfg.get(f'{part}_dataloader'):
            yield f'{part}_dataloader', cfg[f'{part}_dataloader']
        if (cfg.get(f'{part}_cfg') or {}).get('memory'):
            yield f'{part}_cfg.memory', cfg[f'{part}_cfg']['memory']


def fit_workers(cfg: Config) -> None:
    """Remove settings that a loader without workers cannot have, and log it; pinning on CPU."""
    for name, loader in loaders(cfg):
        if get_device() == 'cpu' and isinstance(loader, dict):
            loader.pop('pin_memory', None)      # nothing to copy to, which torch would warn of
        if loader.get('num_workers', 0) or not isinstance(loader, dict):
            continue
        gone = [key for key in ('persistent_workers', 'prefetch_factor') if loader.get(key)]
        for key in gone:
            loader.pop(key)
        if gone:
            say(f'{name}.num_workers=0: {" and ".join(gone)} without effect', cfg.get('launcher'))


def _optimizers(wrapper: Any, where: str = 'optim_wrapper') -> Iterator[tuple[str, dict]]:
    """Yield the dotted name and the config of each optimiser wrapper, also of several."""
    if isinstance(wrapper, dict) and 'optimizer' in wrapper:
        yield where, wrapper
    elif isinstance(wrapper, dict):
        for name, part in wrapper.items():
            yield from _optimizers(part, f'{where}.{name}')


def scale_learning_rate(cfg: Config) -> None:
    """Do what ``auto_scale_lr`` asks for, in place, and switch it off for mmengine.

    The rate is multiplied by batch / ``base_batch_size``, where the batch is that of an optimiser
    step: of all processes and accumulated iterations. (mmengine forgets the accumulation.)

    Raises:
        ValueError: no ``base_batch_size``, batch size or rate to scale.
    """
    scale = cfg.get('auto_scale_lr') or {}
    if not scale.get('enable'):
        return
    base, images = scale.get('base_batch_size'), cfg.train_dataloader.get('batch_size')
    if not base or not images:
        raise WrongValue(f'auto_scale_lr.enable=True: auto_scale_lr.base_batch_size={base} and '
                         f'train_dataloader.batch_size={images}, expected numbers of images')
    processes = count_processes(cfg.get('launcher'))
    for where, wrapper in _optimizers(cfg.optim_wrapper):
        optimizer, counts = wrapper['optimizer'], wrapper.get('accumulative_counts', 1)
        if not isinstance(optimizer, dict) or 'lr' not in optimizer:
            raise WrongValue(f'auto_scale_lr.enable=True: {where}.optimizer has no lr to scale')
        batch, before = images * processes * counts, optimizer['lr']
        optimizer['lr'] = before * batch / base
        say(f'auto_scale_lr: {where}.optimizer.lr {before:g} for a batch of {base} becomes '
            f'{optimizer["lr"]:g} for {images} images x {processes} processes x {counts} '
            f'accumulated = {batch}', cfg.get('launcher'))
    scale['enable'] = False
