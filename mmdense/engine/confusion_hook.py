"""Which classes a pretext task takes for which, in the training log."""
from __future__ import annotations

from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from mmdense.mistakes import WrongValue
from mmdense.models.confusion import Confusion
from mmdense.registry import HOOKS


@HOOKS.register_module()
class ConfusionHook(Hook):
    """Writes the confusion matrices of a model's pretext tasks to the log, over all processes.

    Of the steps since the last time, which then start anew. A model without one is left alone.

    Args:
        interval: optimiser iterations between two matrices.

    Raises:
        ValueError: ``interval`` below 1.
    """

    def __init__(self, interval: int = 500) -> None:
        if interval < 1:
            raise WrongValue(f'ConfusionHook(interval={interval}): expected at least 1')
        self.interval = interval

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                         outputs: dict | None = None) -> None:
        last = runner.iter + 1 == runner.max_iters
        if not (self.every_n_train_iters(runner, self.interval) or last):
            return
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        for name, module in model.named_modules():
            if isinstance(module, Confusion):
                counts = module.counts.clone()
                all_reduce(counts)
                module.counts.zero_()
                runner.logger.info(f'{name}: {module.text(counts)}')
