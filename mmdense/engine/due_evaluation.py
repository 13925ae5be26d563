"""An evaluation that was lost in a kill is repeated when the run is resumed."""
from __future__ import annotations

from mmengine.runner import EpochBasedTrainLoop, Runner

from mmdense.random_states import kept_random_state

#: in the message hub, and so in every checkpoint: the iteration of the last evaluation
EVALUATED = 'evaluated_iter'


def note_evaluation(runner: Runner) -> None:
    """Let checkpoints that are written from now on say that their weights were evaluated."""
    runner.message_hub.update_info(EVALUATED, runner.iter)


def evaluation_is_due(runner: Runner) -> bool:
    """Whether the weights should have been evaluated by now but, by their checkpoint, were not.

    A checkpoint is written before the evaluation of the same iteration: what is resumed from it
    would go on without that evaluation, and with a best value or a counter that lacks it.
    """
    loop = runner.train_loop
    by_epoch = isinstance(loop, EpochBasedTrainLoop)
    done, last = ((loop.epoch, loop.max_epochs) if by_epoch else (loop.iter, loop.max_iters))
    if done == 0 or done < loop.val_begin or (
            runner.message_hub.runtime_info.get(EVALUATED) == runner.iter):
        return False
    return done % loop.val_interval == 0 or done == last


def make_up_evaluation(runner: Runner) -> None:
    """Evaluate once, before the first iteration of a resumed run, if that is due."""
    if runner.val_loop is not None and evaluation_is_due(runner):
        runner.logger.info(f'the checkpoint of iteration {runner.iter} was written before its '
                           'evaluation, which is done now')
        with kept_random_state():
            runner.val_loop.run()
