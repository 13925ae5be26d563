"""Resuming a run: what has changed since its checkpoint, and what follows from each change."""
from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from typing import Any

from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch import nn

from mmdense.checkpoints.filled import bare
from mmdense.checkpoints.load_report import listing
from mmdense.datasets.samplers import ResumableSampler
from mmdense.mistakes import WrongValue

from .config_text import Changes, of, read_changes, told
from .launch import say
from .run_config import holds_run_state

#: settings that the rates follow from
SCHEDULE = re.compile(
    r'^(param_scheduler(\.|$)|optim_wrapper\.(optimizer|paramwise_cfg|constructor)(\.|$))')
LENGTH = re.compile(r'^train_cfg\.max_(iters|epochs)$')
KIND = re.compile(r'^(train_cfg\.type|optim_wrapper\.(.+\.)?optimizer\.type)$')


def refuse_other_weights(model: nn.Module, checkpoint: Mapping, changes: Changes,
                         name: str) -> None:
    """Check that a checkpoint's tensors are exactly the model's.

    Raises:
        ValueError: with the settings that changed.
    """
    target = bare(model).state_dict()
    saved = {re.sub(r'^module\.', '', key): tensor
             for key, tensor in checkpoint['state_dict'].items()}
    other = [key for key in dict.fromkeys([*target, *saved])
             if key not in target or key not in saved or target[key].shape != saved[key].shape]
    if not other:
        return
    changed = told(of(changes, r'^(model|data_preprocessor)\.')) or 'no setting that is known'
    raise WrongValue(
        f'--resume: {len(other)} tensors of the model are not those of {name}, such as '
        f'{listing("", other, 2)}; changed since: {changed}. Resume with the settings of the run, '
        'or start a new run in another --work-dir')


def refuse_other_kind(runner: Runner, checkpoint: Mapping, changes: Changes, name: str) -> None:
    """Check that the loop and the optimiser are of the checkpoint's kind.

    Raises:
        ValueError: with the settings that changed.
    """
    kinds = of(changes, KIND)
    if kinds:
        raise WrongValue(f'--resume: {told(kinds)}; {name} holds the state of the former, which '
                         'the latter cannot go on from. Begin another run in a --work-dir of its '
                         'own')
    if not isinstance(runner.optim_wrapper, OptimWrapper) or 'optimizer' not in checkpoint:
        return
    old, new = ([len(group['params']) for group in groups] for groups in (
        checkpoint['optimizer']['param_groups'], runner.optim_wrapper.optimizer.param_groups))
    if old != new:
        raise WrongValue(
            f'--resume: the optimiser has {len(new)} groups of {sum(new)} parameters, that of '
            f'{name} {len(old)} groups of {sum(old)}; changed since: '
            f'{told(of(changes, "^(optim_wrapper|model)")) or "no setting that is known"}')


def refuse_old_end(cfg: Any, changes: Changes) -> None:
    """Check that a longer run has a longer schedule.

    Raises:
        ValueError: the schedule ends where the run ended before.
    """
    for key, (old, new) in of(changes, LENGTH).items():
        if not (isinstance(old, int) and isinstance(new, int) and old < new):
            continue
        parts = cfg.get('param_scheduler') or []
        single = isinstance(parts, dict)
        ends = {f'param_scheduler.{place}.{end}'.replace('.0.', '.' if single else '.0.'): (
                    part[end], part[end] + (part.get('begin', 0) if end != 'end' else 0))
                for place, part in enumerate([parts] if single else parts)
                for end in ('end', 'total_iters', 'T_max') if part.get(end) is not None}
        # a warm-up that ended long ago leaves the rate as it should be
        if ends and max(end for _, end in ends.values()) == old:
            options = ' '.join(f'{name}={value + new - old}'
                               for name, (value, end) in ends.items() if end == old)
            raise WrongValue(
                f'--resume: {key} {old} -> {new}, but the learning rate reaches its end at {old} '
                'and would stay there. Make the schedule longer too, it is then followed as if it '
                f'had been so from the start, e.g. --cfg-options {key}={new} {options}')


def follow_schedule(runner: Runner, checkpoint: dict) -> None:
    """Bring the rates of the config's schedule to the checkpoint's iteration, in its state.

    The schedulers of the runner, fresh as they are, make the steps of all iterations before;
    their state, and the optimiser's settings with it, stand in for what the checkpoint has.

    Raises:
        ValueError: several optimisers, or a schedule that follows from evaluations.
    """
    schedulers, meta = runner.param_schedulers or [], checkpoint['meta']
    if not isinstance(runner.optim_wrapper, OptimWrapper) or isinstance(schedulers, dict):
        raise WrongValue('--resume: a changed schedule of several optimisers cannot be followed; '
                         'resume with the one of the run')
    if any(getattr(scheduler, 'need_val_args', False) for scheduler in schedulers):
        raise WrongValue('--resume: a changed schedule that follows from evaluations cannot be '
                         'caught up with; resume with the one of the run')
    epoch = meta['iter'] // meta['epoch'] if meta.get('epoch') else 0
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')     # that no optimiser step was made between
        for done in range(1, meta['iter'] + 1):
            for scheduler in schedulers:
                if not scheduler.by_epoch or (epoch and done % epoch == 0):
                    scheduler.step()
    checkpoint['param_schedulers'] = [scheduler.state_dict() for scheduler in schedulers]
    if 'optimizer' in checkpoint:
        state = checkpoint['optimizer']
        state.pop('base_param_settings', None)
        state['param_groups'] = [
            {**new, 'params': old['params']} for old, new in zip(
                state['param_groups'], runner.optim_wrapper.optimizer.state_dict()['param_groups'],
                strict=True)]


def place_sampler(runner: Runner, meta: Mapping, changes: Changes) -> None:
    """Let the sampler continue at the run's position, and say what happens to the order."""
    loader = runner.train_dataloader
    sampler, was = loader.sampler, meta.get('data', {})
    batch, processes = loader.batch_size, get_world_size()
    before = was.get('batch_size', batch), was.get('processes', processes)
    changed = before != (batch, processes)
    line = (f'resuming: {before[0]} images x {before[1]} processes -> {batch} x {processes}: '
            if changed else '')
    if not isinstance(sampler, ResumableSampler):
        if changed:
            say(line + ('epochs have another number of iterations from here on'
                        if isinstance(runner.train_loop, EpochBasedTrainLoop) else
                        f'{type(sampler).__name__} counts its place in iterations of the new size,'
                        ' so images are left out or repeated in this epoch'))
        return
    start = was.get('position', meta['iter'] * batch * processes)
    sampler.shift = start - meta['iter'] * batch * processes
    if meta.get('seed') is not None and sampler.seed == runner.seed:
        sampler.seed = meta['seed']
    images = was.get('images', sampler.size)
    if images != sampler.size:
        say(f'resuming: {images} images -> {sampler.size}: their order is a new one from here on, '
            f'at position {start}')
    elif changed:
        say(f'{line}the order of images continues at position {start} (epoch {start // images}), '
            'none is left out or repeated')


class ResumeHook(Hook):
    """Compares a resumed run with its checkpoint, and lets it go on as its config says.

    A changed schedule, rate or weight decay is followed as if it had been so from the start; a
    changed batch or number of processes goes on at the same place in the order of images; other
    weights, another optimiser or loop, another seed, and a longer run whose schedule is not
    longer are refused. Everything else that changes the training is said.

    Checkpoints get what this needs, ``meta['data']``.
    """
    priority = 'VERY_HIGH'

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Note the place in the order of images."""
        loader, meta = runner.train_dataloader, checkpoint['meta']
        sampler, processes = loader.sampler, get_world_size()
        if loader.batch_size is None:
            return
        meta['data'] = dict(batch_size=loader.batch_size, processes=processes)
        if isinstance(sampler, ResumableSampler):
            position = sampler.shift + meta['iter'] * loader.batch_size * processes
            meta['data'] |= dict(position=position, images=sampler.size)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare, refuse, and fit the state that is loaded next.

        Raises:
            ValueError: the file holds no state of a run, or something changed that it cannot go
                on with.
        """
        if not runner._resume:
            return
        name = str(runner._load_from or runner.work_dir)
        if not holds_run_state(checkpoint):
            raise WrongValue(f'--resume: {name} holds weights and no state of a run; start from '
                             'it with load_from')
        meta = checkpoint['meta']
        changes = read_changes(meta, runner.cfg, name)
        refuse_other_weights(runner.model, checkpoint, changes, name)
        if self._left(runner, meta['iter'], meta['epoch']) <= 0:
            return
        seed = (runner.cfg.get('randomness') or {}).get('seed')
        if None not in (seed, meta.get('seed')) and seed != meta['seed']:
            raise WrongValue(f'--resume: randomness.seed {meta["seed"]} -> {seed}: the order of '
                             'images is that of the seed; resume with the one of the run')
        refuse_other_kind(runner, checkpoint, changes, name)
        refuse_old_end(runner.cfg, changes)
        self._fit(runner, checkpoint, changes, name)
        place_sampler(runner, meta, changes)

    def _fit(self, runner: Runner, checkpoint: dict, changes: Changes, name: str) -> None:
        here = f'iteration {checkpoint["meta"]["iter"]}'
        if 'optimizer' not in checkpoint:
            say(f'resuming: {name} holds no state of the optimiser, which starts anew')
        elif not hasattr(runner.optim_wrapper, 'loss_scaler'):
            checkpoint['optimizer'].pop('loss_scaler', None)    # of mixed precision before
        schedule = of(changes, SCHEDULE)
        if schedule or 'param_schedulers' not in checkpoint:
            follow_schedule(runner, checkpoint)
            rate = runner.optim_wrapper.get_lr()
            say(f'resuming: {told(schedule) or "no schedule in the checkpoint"}: followed as if '
                'it had been so from the start, the rate is now '
                f'{next(iter(rate.values()))[0]:.3g}')
        others = {key: pair for key, pair in changes.items() if key not in schedule}
        if others:
            say(f'resuming: {told(others, 20)}, from {here} on')

    @staticmethod
    def _left(runner: Runner, iteration: int, epoch: int) -> int:
        loop = runner.train_loop
        if isinstance(loop, EpochBasedTrainLoop):
            return loop.max_epochs - epoch
        return loop.max_iters - iteration

    def before_train(self, runner: Runner) -> None:
        """Say that nothing is left to do."""
        if runner.iter and self._left(runner, runner.iter, runner.epoch) <= 0:
            say(f'nothing is left to do: {runner.iter} of {runner.train_loop.max_iters} iterations '
                f'are done, the run in {runner.work_dir} is finished')
