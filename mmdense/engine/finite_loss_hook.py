"""End a run whose loss is nan or infinite, before it costs time and good checkpoints."""
from __future__ import annotations

import math
from pathlib import Path

import torch
from mmengine.dist import all_reduce, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmdense.mistakes import WrongValue
from mmdense.registry import HOOKS

#: an iteration that never comes
NEVER = 2 ** 62


def last_good(work_dir: str) -> str:
    """Return, in words, where a run can go on from: only finite weights become checkpoints."""
    pointer = Path(work_dir) / 'last_checkpoint'
    named = pointer.read_text(encoding='utf-8').strip() if pointer.is_file() else ''
    return (f'the last good checkpoint is {named}' if named
            else f'there is no checkpoint in {work_dir} yet')


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Stop training with an error once a loss is nan or infinite.

    It looks at the numbers that mmengine has fetched for the log, so it does not wait for a GPU.
    Several processes stop together: each notes what it sees, and every ``interval`` iterations
    they tell each other.

    Args:
        interval: iterations between two exchanges of several processes; one process looks in
            every iteration.

    Raises:
        ValueError: an interval below 1; after an iteration, a loss that is not finite.
    """
    priority = 'LOW'      # after the log line, before the checkpoint

    def __init__(self, interval: int = 10) -> None:
        if interval < 1:
            raise WrongValue(f'FiniteLossHook: interval={interval}; expected at least 1')
        self.interval, self.first, self.seen = interval, NEVER, ''

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                         outputs: dict | None = None) -> None:
        """Look at the losses of this iteration."""
        if self.first == NEVER:
            self._look(runner, outputs or {})
        alone = get_world_size() == 1
        if alone or self.every_n_train_iters(runner, self.interval) or self.is_last_train_iter(
                runner):
            self._stop(runner, alone)

    def _look(self, runner: Runner, outputs: dict) -> None:
        scalars = runner.message_hub.log_scalars
        # the values that RuntimeInfoHook has fetched; without it they are fetched here
        values = {name: float(scalars[f'train/{name}'].current() if f'train/{name}' in scalars
                              else value) for name, value in outputs.items() if 'loss' in name}
        bad = {name: value for name, value in values.items() if not math.isfinite(value)}
        if bad:
            self.first = runner.iter + 1
            self.seen = ', '.join(f'{name} = {value}' for name, value in bad.items())

    def _stop(self, runner: Runner, alone: bool) -> None:
        first = torch.tensor(self.first)
        if not alone:
            all_reduce(first, 'min')
        if first != NEVER:
            seen = self.seen if self.first == first else 'a loss of another process is not finite'
            raise WrongValue(f'training stops: at iteration {int(first)} {seen}; '
                             f'{last_good(runner.work_dir)}; likely causes: a learning rate that '
                             'is too high or without warm-up (optim_wrapper.optimizer.lr), float16 '
                             '(--amp)')
