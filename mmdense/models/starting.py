"""A run that starts from another run's checkpoint: weights are taken over, counts are not."""
from __future__ import annotations

from mmengine.logging import print_log
from torch import nn


def start_anew(model: nn.Module) -> None:
    """Let the parts of a model that count a run's steps or keep its images begin anew.

    They are those with a method ``start_anew``, which returns what it did, or None where they
    hold nothing of another run.
    """
    parts = (module.start_anew() for module in model.modules() if hasattr(module, 'start_anew'))
    done = list(filter(None, parts))
    if done:
        print_log(f"a new run with another run's weights: {'; '.join(done)}; warm-ups begin at 0",
                  'current')
