"""Sparse combinations of blocks: the proximal step of L1 after each step, and what is left."""
from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from mmdense.mistakes import WrongValue
from mmdense.models.combination import CombinedBackbone
from mmdense.registry import HOOKS


def combinations_of(model: object) -> dict[str, CombinedBackbone]:
    """Return the combinations inside a model, by name."""
    model = model.module if is_model_wrapper(model) else model
    return {name: module for name, module in model.named_modules()
            if isinstance(module, CombinedBackbone)}


def as_text(found: dict[str, CombinedBackbone]) -> str:
    """Return the alphas as lines, a row for each combination."""
    return '\n'.join(f'{name}: ' + ', '.join(
        f'{block} {value:.3f}' for block, value in zip(one.blocks, one.alpha.tolist(), strict=True))
        for name, one in found.items())


@HOOKS.register_module()
class LassoHook(Hook):
    """Adds ``weight`` times the sum of |alpha| of combined blocks, by a proximal step.

    After each step of the optimiser every alpha moves by its learning rate times ``weight``
    towards 0, and stays there if it reaches it (ISTA); so zeros are zeros, which a gradient of L1
    never gives. Weight decay of alphas is to be switched off: ``paramwise_cfg=dict(custom_keys=
    {'alpha': dict(decay_mult=0)})``. The alphas are logged every ``interval`` iterations.

    Args:
        weight: of L1.
        interval: iterations between two lines of the log.

    Raises:
        ValueError: ``weight`` not above 0 or ``interval`` below 1; in a run, a model without
            combined blocks, or whose alphas are not trained.
    """
    priority = 'BELOW_NORMAL'                # after the optimiser's step, before checkpoints

    def __init__(self, weight: float, interval: int = 500) -> None:
        if not weight > 0 or interval < 1:
            raise WrongValue(f'LassoHook(weight={weight}, interval={interval}): expected a weight '
                             'above 0 and at least 1 iteration')
        self.weight, self.interval = weight, interval

    def before_train(self, runner: Runner) -> None:
        self.found = combinations_of(runner.model)
        if not self.found:
            raise WrongValue('LassoHook: the model has no combined blocks; expected model.combine '
                             'of mmdense.MultiTask, or a mmdense.CombinedBackbone')
        groups = {id(parameter): group for group in runner.optim_wrapper.param_groups
                  for parameter in group['params']}
        for name, one in self.found.items():
            if id(one.alpha) not in groups:
                raise WrongValue(f'LassoHook: {name}.alpha is not in the optimiser, and would '
                                 'only shrink; expected it to be trained')
        self.groups = {name: groups[id(one.alpha)] for name, one in self.found.items()}

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                         outputs: dict | None = None) -> None:
        if runner.optim_wrapper.should_update():
            for name, one in self.found.items():
                one.shrink(self.weight * self.groups[name]['lr'])
        if self.every_n_train_iters(runner, self.interval) or runner.iter + 1 == runner.max_iters:
            runner.logger.info('combined blocks\n' + as_text(self.found))
