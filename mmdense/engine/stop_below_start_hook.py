"""Stop a run that makes good weights worse."""
from __future__ import annotations

import math

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmdense.mistakes import WrongValue
from mmdense.random_states import kept_random_state
from mmdense.registry import HOOKS

from .due_evaluation import make_up_evaluation, note_evaluation

#: in the message hub, and so in every checkpoint
STATE = 'stop_below_start'


@HOOKS.register_module()
class StopBelowStartHook(Hook):
    """Stop training after ``patience`` evaluations in a row whose value is below the start's.

    The start is what the validation loop measures before the first iteration, of the weights that
    the run goes on from. Start and values since are in the checkpoints: a resumed run does not
    measure the start anew, and its counter goes on. A value that is not finite counts as below.

    Args:
        monitor: name of a metric of the validation loop.
        patience: evaluations in a row.
        rule: ``'greater'`` if more is better, else ``'less'``.

    Raises:
        ValueError: patience or rule are wrong; before training: there is no validation loop, it
            has no such metric, or the start is not finite.
    """
    priority = 'LOW'      # before the checkpoint that is saved for a new best value

    def __init__(self, monitor: str = 'mIoU', patience: int = 3, rule: str = 'greater') -> None:
        if patience < 1 or rule not in ('greater', 'less'):
            raise WrongValue(f'StopBelowStartHook: patience={patience}, rule={rule!r}; expected '
                             "patience of 1 or more and rule 'greater' or 'less'")
        self.monitor, self.patience, self.rule = monitor, patience, rule
        self.training = self.began = False

    def before_train(self, runner: Runner) -> None:
        """Look for the validation loop and for a run's own state in its checkpoint."""
        if runner.val_loop is None:
            raise WrongValue('StopBelowStartHook: the config has no validation loop (val_cfg, '
                             'val_dataloader, val_evaluator); mmdense.LabelFreeValLoop needs no '
                             'labels')
        state = runner.message_hub.runtime_info.get(STATE)
        # a checkpoint of other settings is a new start
        if state and (state['monitor'], state['rule']) != (self.monitor, self.rule):
            runner.message_hub.pop_info(STATE)
        self.training = True

    def before_train_epoch(self, runner: Runner) -> None:
        """Measure the start once every hook is ready, or repeat an evaluation lost in a kill."""
        if self.began:
            return
        self.began = True
        if STATE not in runner.message_hub.runtime_info:
            with kept_random_state():
                runner.val_loop.run()
        else:
            make_up_evaluation(runner)
            self._stop_below(runner, runner.message_hub.get_info(STATE))

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Take an evaluation's value as the start, or compare it with the start."""
        if not self.training:
            return
        if self.monitor not in (metrics or {}):
            raise WrongValue(f'StopBelowStartHook: monitor={self.monitor!r} is no metric of '
                             f'{type(runner.val_loop).__name__}; there are '
                             f'{", ".join(sorted(metrics or {})) or "none"}')
        note_evaluation(runner)
        value, state = float(metrics[self.monitor]), runner.message_hub.runtime_info.get(STATE)
        if state is None:
            self._begin(runner, value)
            return
        below = [*state['below'], value] if self._is_below(value, state['start']) else []
        state = {**state, 'below': below}
        runner.message_hub.update_info(STATE, state)
        self._stop_below(runner, state)

    def _stop_below(self, runner: Runner, state: dict) -> None:
        below = state['below']
        if runner.train_loop.stop_training:
            return
        if len(below) >= self.patience:
            runner.train_loop.stop_training = True
            runner.logger.info(
                f'training stops at iteration {runner.iter}: {self.monitor} was '
                f'{state["start"]:.4f} at the start (iteration {state["iter"]}) and '
                f'{", ".join(f"{one:.4f}" for one in below)} in the last {len(below)} evaluations')

    def _begin(self, runner: Runner, value: float) -> None:
        if not math.isfinite(value):
            raise WrongValue(f'StopBelowStartHook: {self.monitor} of the start is {value}; '
                             'expected a number to compare with')
        runner.logger.info(f'{self.monitor} of the start: {value:.4f} (iteration {runner.iter})')
        runner.message_hub.update_info(STATE, dict(
            monitor=self.monitor, rule=self.rule, start=value, iter=runner.iter, below=[]))

    def _is_below(self, value: float, start: float) -> bool:
        return not (value >= start if self.rule == 'greater' else value <= start)
