"""Train networks that leave parameters without gradient; the job of one process of several."""
from __future__ import annotations

from types import SimpleNamespace

import torch
from mmengine.model import BaseModel, MMDistributedDataParallel
from mmengine.optim import OptimWrapper
from references import tiny
from references.known_backbones import KNOWN
from torch import Tensor, nn

from mmdense.engine.unused_parameters import UnusedParametersHook
from mmdense.engine.wrappers import CPUDistributedDataParallel

STEPS = 4


class Branches(BaseModel):
    """A linear layer always in the loss, one as it is told, and maybe one that never is."""

    def __init__(self, never: bool) -> None:
        super().__init__()
        self.used, self.sometimes = (nn.Linear(3, 2) for _ in range(2))
        if never:
            self.never = nn.Linear(3, 2)

    def forward(self, inputs: Tensor, sometimes: bool, mode: str) -> dict[str, Tensor]:
        out = self.used(inputs)
        return dict(loss=(out + self.sometimes(inputs) if sometimes else out).pow(2).mean())


def train(model: nn.Module, wrapper: nn.Module, batches: list[dict],
          accumulate: int = 1) -> dict[str, Tensor]:
    """Train; return the weights."""
    optim = OptimWrapper(torch.optim.SGD(
        [p for p in model.parameters() if p.requires_grad], 0.1, momentum=0.9),
        accumulative_counts=accumulate)
    optim.initialize_count_status(model, 0, len(batches))
    for batch in batches:
        wrapper.train_step(batch, optim)
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def branches(rank: int, used: list[list[bool]], never: bool = False, accumulate: int = 1,
             **settings) -> tuple:
    """Train :class:`Branches`; ``used`` says for each step and process what is in the loss.

    Return whether torch looks for unused parameters in the end, and the weights; or the error.
    """
    torch.manual_seed(0)
    model = Branches(never)
    wrapper = CPUDistributedDataParallel(model, broadcast_buffers=False, **settings)
    g = torch.Generator().manual_seed(1)
    data = torch.randn(len(used), 2, 4, 3, generator=g)
    batches = [dict(inputs=data[step, rank], sometimes=now[rank])
               for step, now in enumerate(used)]
    try:
        weights = train(model, wrapper, batches, accumulate)
    except ValueError as error:
        return str(error), None
    return wrapper.find_unused_parameters, weights


def hrnet(rank: int) -> tuple[bool, bool, str]:
    """Pretrain a small HRNet, whose last fusions get no gradient; and with torch's wrapper."""
    torch.manual_seed(0)
    cfg = next(known.cfg for known in KNOWN if known.name == 'HRNet')
    head = dict(type='mmdense.Projector', in_channels=32, hidden_channels=8, out_channels=8)
    method = tiny.build(backbone=cfg, projector=head, dense_projector=head)
    wrapper = CPUDistributedDataParallel(method, broadcast_buffers=False)
    torch.manual_seed(rank)
    batches = [dict(inputs=[torch.randn(4, 3, 64, 64) for _ in range(2)],
                    data_samples=tiny.views_of(torch.arange(4))) for _ in range(3)]
    weights = train(method, wrapper, batches)
    told = ''
    stock = MMDistributedDataParallel(method, broadcast_buffers=False)
    hook, runner = UnusedParametersHook(), SimpleNamespace(model=stock)
    hook.before_train(runner)
    train(method, stock, batches[:1])
    try:
        hook.after_train_iter(runner, 0)
    except ValueError as error:
        told = str(error)
    total = sum(float(w.double().abs().sum()) for n, w in weights.items()
                if not n.startswith('twin.'))
    return wrapper.find_unused_parameters, total, told


def unused_job(rank: int, world: int) -> dict:
    """What became of each case, by name."""
    both, none = [True, True], [False, False]
    told = dict(find_unused_parameters=True)
    cases = {'all': dict(used=[both] * STEPS), 'never': dict(used=[both] * STEPS, never=True),
             'on one process': dict(used=[[True, False]] * STEPS),
             'accumulated': dict(used=[both, [True, False]] * 2, never=True, accumulate=2)}
    return {**{name: branches(rank, **case) for name, case in cases.items()},
            **{f'{name}, told': branches(rank, **case, **told) for name, case in cases.items()},
            'later': branches(rank, [both, none, none]), 'hrnet': hrnet(rank)}
