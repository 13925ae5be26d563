"""How many images went through networks: what methods with several views and twins cost."""
from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor, nn

from mmdense.checkpoints.filled import bare
from mmdense.registry import HOOKS

#: in the message hub, and so in every checkpoint
FORWARDS = 'forwards'


def backbones_of(model: nn.Module) -> list[nn.Module]:
    """Return a model's backbone and all its modules of that class: a momentum twin's copies."""
    return [module for module in model.modules()
            if type(module) is type(getattr(model, 'backbone', None))]


@HOOKS.register_module()
class ForwardCountHook(Hook):
    """Count the images that pass a backbone while training, one for each view and network.

    The backbone's own copies (a momentum twin's) count, evaluation does not. The number is that of
    one process; it is in the checkpoints, and a resumed run counts on.
    """
    priority = 'VERY_HIGH'      # stops counting before anything is measured, and before a save

    def __init__(self) -> None:
        self.counting, self.count = False, 0

    def before_train(self, runner: Runner) -> None:
        """Listen to the backbone and to its copies."""
        self.count = runner.message_hub.runtime_info.get(FORWARDS, 0)
        for backbone in backbones_of(bare(runner.model)):
            backbone.register_forward_hook(self._add)

    def _add(self, module: nn.Module, inputs: tuple[Tensor, ...], output: object) -> None:
        if self.counting:
            self.count += len(inputs[0])

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch=None) -> None:
        self.counting = True

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch=None,
                         outputs=None) -> None:
        self.counting = False
        runner.message_hub.update_info(FORWARDS, self.count)
