"""Images are counted for each network that they pass, while training only, over resumes."""
from __future__ import annotations

from types import SimpleNamespace

import torch
from mmengine.logging import MessageHub
from torch import nn

from mmdense.engine import ForwardCountHook


class Pair(nn.Module):
    """A backbone, a copy of it, and a head of another class."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone, self.twin, self.head = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1), nn.ReLU()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.backbone(images)) + self.twin(images[:1])


def test_each_network_counts_while_training_and_a_resumed_run_counts_on():
    runner = SimpleNamespace(model=Pair(), message_hub=MessageHub('forwards'))
    for expected in (14, 28):            # the second hook is that of a resumed run
        hook = ForwardCountHook()
        runner.model = Pair()
        hook.before_train(runner)
        for step in range(2):
            hook.before_train_iter(runner, step)
            runner.model(torch.zeros(6, 3, 2, 2))
            hook.after_train_iter(runner, step)
            runner.model(torch.zeros(50, 3, 2, 2))      # an evaluation
        assert runner.message_hub.get_info('forwards') == expected
