"""Which trained parameters get no gradient: they silently keep their initial values."""
from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from mmdense.checkpoints.filled import bare
from mmdense.mistakes import WrongValue
from mmdense.models.selfsup.base import trained_index
from mmdense.registry import HOOKS

#: share of a backbone without gradient that is told but is no reason to look: norms of maps that
#: are not used, the last fusions of an HRNet
NEGLIGIBLE = 0.02
LARGEST_NUMBER_OF_NAMES = 6


def trained_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters that an optimiser steps, by name; frozen ones and twins are not."""
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


@contextmanager
def reached_parameters(model: nn.Module) -> Iterator[set[str]]:
    """Collect the names of trained parameters that get a gradient inside, even if it is cleared."""
    reached: set[str] = set()
    handles = [p.register_post_accumulate_grad_hook(lambda _, name=name: reached.add(name))
               for name, p in trained_parameters(model).items()]
    try:
        yield reached
    finally:
        for handle in handles:
            handle.remove()


def describe_unused(model: nn.Module, reached: set[str]) -> tuple[float, str]:
    """Return the share of the backbone that gets no gradient, and a line that names its parts.

    Args:
        model: with ``backbone``.
        reached: names of the model's parameters that got a gradient.
    """
    backbone, index = model.backbone, trained_index(model)
    sizes = {name: p.numel() for name, p in trained_parameters(backbone).items()}
    own = [name for name in sizes if f'backbone.{name}' not in reached]
    if not own:
        return 0., f'all of {type(backbone).__name__} is trained (map {index})'
    parts = Counter()
    for name in own:
        # timm's networks are wrapped
        parts['.'.join(name.split('.')[:1 + name.startswith('timm_model.')])] += sizes[name]
    total = sum(sizes.values())
    share = parts.total() / total
    named = [f'{part} {count / total:.1%}' for part, count in
             parts.most_common(LARGEST_NUMBER_OF_NAMES)]
    more = len(parts) - len(named)
    parts = ', '.join(named) + (f' and {more} more' if more else '')
    text = (f"{share:.1%} of {type(backbone).__name__}'s parameters get no gradient and stay as "
            f'they are: {parts} (map {index} is trained')
    return share, text + ('; model.out_index chooses another: docs/backbones.md)'
                          if share > NEGLIGIBLE else ')')


@HOOKS.register_module()
class UnusedParametersHook(Hook):
    """Name, after the first step, the backbone's trained parameters that the loss did not reach.

    Works for any model with a ``backbone``. On several processes torch's own wrapper cannot go on
    with such parameters: then it stops here and says what to set (``mmdense``'s wrappers find
    them by themselves).
    """

    def __init__(self) -> None:
        self.watching = None

    def before_train(self, runner: Runner) -> None:
        model = bare(runner.model)
        self.model, self.watching = model, reached_parameters(model)
        self.reached = self.watching.__enter__()

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                         outputs: dict | None = None) -> None:
        if self.watching is None:
            return
        self.watching.__exit__(None, None, None)
        self.watching = None
        unused = trained_parameters(self.model).keys() - self.reached
        if isinstance(getattr(self.model, 'backbone', None), nn.Module):
            share, text = describe_unused(self.model, self.reached)
            if share:
                print_log(text, 'current', level=30 if share > NEGLIGIBLE else 20)
        wrapper = runner.model
        if unused and isinstance(wrapper, DistributedDataParallel) \
                and not wrapper.find_unused_parameters and not wrapper.static_graph:
            raise WrongValue(f'{len(unused)} parameters get no gradient ({sorted(unused)[0]}, …), '
                             'which several processes must know: set find_unused_parameters=True '
                             'in the config, or train with our tools/train.py, which finds them')
