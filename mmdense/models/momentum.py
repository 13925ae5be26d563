"""The momentum twin: a slowly following copy of the trained network, without gradient."""
from __future__ import annotations

import copy
import math
import operator
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from itertools import accumulate

import torch
import torch.distributed as dist
from mmengine.dist import get_rank, get_world_size
from mmengine.logging import MessageHub, print_log
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmdense.mistakes import WrongValue

from .split_batch_norm import split_batch_norm

#: of all modules that a twin follows, or of each by its name
Momentum = float | dict[str, float]


def cosine_momentum(start: float, end: float, progress: float) -> float:
    """Return the momentum at ``progress`` in [0, 1] of the run, rising from start to end.

    BYOL (2006.07733, sec. 3.3): ``end - (end - start) (cos(pi progress) + 1) / 2``.
    """
    return end - (end - start) * (math.cos(math.pi * min(progress, 1.0)) + 1) / 2


def run_progress() -> float:
    """Return how far the runner's training has come, in [0, 1]; 0 outside a runner."""
    hub = MessageHub.get_current_instance()
    return (hub.get_info('iter', 0) or 0) / max(hub.get_info('max_iters', 1) or 1, 1)


def count_dealt(first: int, count: int, to: int, world: int) -> int:
    """Return how many of the ``count`` numbers from ``first`` on are ``to`` modulo ``world``."""
    return len(range(first + (to - first) % world, first + count, world))


def exchange_rows(rows: Tensor, back: bool = False) -> Tensor:
    """Deal the (B, …) rows of all processes out in turn, so that every process gets B of them.

    Row i of process r is row r B + i of the joined batch and goes to process (r B + i) mod W.
    Each process sends and receives B rows, however many processes there are. ``back=True`` undoes
    it. Every process must hold the same number of rows.
    """
    world, rank, batch = get_world_size(), get_rank(), len(rows)
    first = rank * batch
    sent = [count_dealt(first, batch, to, world) for to in range(world)]
    received = [count_dealt(source * batch, batch, rank, world) for source in range(world)]
    order = (torch.arange(first, first + batch, device=rows.device) % world).argsort(stable=True)
    out = torch.empty_like(rows, memory_format=torch.contiguous_format)
    if back:
        dist.all_to_all_single(out, rows.contiguous(), sent, received)
        return torch.empty_like(out).index_copy_(0, order, out)
    dist.all_to_all_single(out, rows[order].contiguous(), received, sent)
    return out


def count_writes(tensors: list[Tensor]) -> int:
    """Return how often PyTorch has seen the tensors written to, together."""
    return sum(tensor._version for tensor in tensors)


def lengths_of(tensors: list[Tensor]) -> Tensor:
    """Return the length of each of N tensors, (N,)."""
    return torch.cat([length.view(1) for length in torch._foreach_norm(tensors)])


def check_momentum(argument: str, value: Momentum | None, names: Collection[str]) -> None:
    """Check the momentum of modules of these names: a number of all, or of each by its name.

    Raises:
        WrongValue: a value outside [0.5, 1], or of a name that is none of these.
    """
    for name, one in (value.items() if isinstance(value, dict) else [(None, value)]):
        if name is not None and name not in names:
            raise WrongValue(f'twin {argument}={value}: {name} is none of its modules; expected '
                             f'some of {", ".join(names)}')
        if one is not None and not 0.5 <= one <= 1:
            raise WrongValue(f"twin {argument} {one}: expected 0.5 to 1 in the papers' sense "
                             '(0.999 keeps 99.9 % of the old weights; mmengine writes that 0.001)')


@dataclass
class Look:
    """What a twin saw of the parameters that it follows when it last looked.

    Attributes:
        firsts: the first parameter of each module, by which other modules are noticed.
        own, online: the N parameters of the copies, and those that they follow.
        parts: where those of each module stand among the N.
        written: how often the latter were written to, as PyTorch counts it (``_version``).
        lengths: (N,) of the latter, for optimisers that do not move that count (fused ones, and
            what writes to ``p.data``); None once it has moved.
    """
    firsts: list[Tensor | None]
    own: list[Tensor]
    online: list[Tensor]
    parts: dict[str, slice]
    written: int
    lengths: Tensor | None


class MomentumTwin(nn.Module):
    """Copies of some modules that follow them as ``twin <- m twin + (1 - m) online``.

    It takes the online weights and buffers over at the first training step (a pretrained start is
    loaded after construction). At the start of each later training forward it looks whether they
    were stepped since the last one, and follows once if so: accumulated gradients, skipped AMP
    steps, several optimisers and sharded ones are counted right, without a hook. What is saved or
    copied has followed already. BatchNorm buffers are its own. State dict: ``twin.<name>.*`` and
    ``twin.steps``.

    Args:
        online: the modules to follow, by the name that the copy gets here.
        momentum: m in the papers' sense, 0.999 keeps 99.9 % of the old weight. A dict sets it by
            name, ``dict(backbone=0.999, decode_head=0.99)``; what it leaves out has 0.999.
        end_momentum: where given, m rises to it along a cosine over the run, that of every module
            or, as a dict, of those named.
        bn: how the twin's batch is normalised. ``'shuffle'`` mixes samples over processes (and,
            on one process, where that is impossible, says so once), ``'split'`` normalises up to
            8 groups of the batch apart, ``'plain'`` does neither. Without BatchNorm all three are
            the same.

    Raises:
        WrongValue: momentum outside [0, 1] (0.001 is mmengine's convention and would be far too
            fast, so values below 0.5 are refused too) or of a module that is not followed, or
            another ``bn``.
    """

    def __init__(self, online: dict[str, nn.Module], momentum: Momentum = 0.999,
                 end_momentum: Momentum | None = None, bn: str = 'shuffle') -> None:
        super().__init__()
        if bn not in ('shuffle', 'split', 'plain'):
            raise WrongValue(f"twin bn={bn!r}: expected 'shuffle', 'split' or 'plain'")
        check_momentum('momentum', momentum, online)
        check_momentum('end_momentum', end_momentum, online)
        self.momentum, self.end_momentum = momentum, end_momentum
        for name, module in online.items():
            follower = copy.deepcopy(module).requires_grad_(False)
            self.add_module(name, split_batch_norm(follower) if bn == 'split' else follower)
        self.mixes = bn == 'shuffle' and any(isinstance(m, _BatchNorm) for m in self.modules())
        self.register_buffer('steps', torch.zeros((), dtype=torch.long))
        self.has_weights, self.progress = False, 0.0
        self.seen: Look | None = None
        # outside nn.Module's registration: the online modules belong to the method, not to us
        self.__dict__['online'] = dict(online)

    @torch.compiler.disable
    @torch.no_grad()
    def follow(self) -> None:
        """Take the online weights over if nothing was trained yet, else follow a step made since.

        To be called at the start of each training forward, outside a compiled graph; a second
        call before the next step changes nothing.
        """
        if self.seen is None:
            self.take_over()
            self.look()
        else:
            self.catch_up()
        self.progress = run_progress()

    def take_over(self) -> None:
        """Begin with the online weights and buffers, unless the twin has been trained."""
        if self.steps.item() == 0 and not self.has_weights:  # once a process, not once a step
            for name, module in self.online.items():
                getattr(self, name).load_state_dict(module.state_dict())
        if self.mixes and get_world_size() == 1:
            print_log("the twin's bn='shuffle' needs several processes and does nothing on one: "
                      "its BatchNorm can leak which key is whose; set model.twin.bn='split'",
                      'current', level=30)

    @torch.no_grad()
    def look(self) -> bool:
        """Look at the online weights; return whether they were stepped since the last look."""
        sides = [getattr(self, name) for name in self.online], [*self.online.values()]
        firsts = [next(module.parameters(), None) for side in sides for module in side]
        last = self.seen
        if last is None or any(map(operator.is_not, last.firsts, firsts)):
            own, online = ([p for module in side for p in module.parameters()] for side in sides)
            told = last is not None and last.lengths is None
            ends = list(accumulate((len([*module.parameters()]) for module in sides[1]),
                                   initial=0))
            parts = dict(zip(self.online, map(slice, ends, ends[1:]), strict=True))
            self.seen = Look(firsts, own, online, parts, count_writes(online),
                             None if told else lengths_of(online))
            return False
        written = count_writes(last.online)
        if written != last.written:
            self.seen = replace(last, written=written, lengths=None)
        elif last.lengths is not None:
            self.seen = replace(last, lengths=lengths_of(last.online))
            return not torch.equal(self.seen.lengths, last.lengths)
        return written != last.written

    def start_anew(self) -> str | None:
        """Count steps from 0, and warm-ups with them; keep the weights of another run; say so."""
        steps = self.steps.item()
        if steps == 0:
            return None
        self.steps.zero_()
        self.has_weights = True
        return f'the twin keeps its weights of step {steps} and counts from 0'

    def catch_up(self) -> None:
        """Follow by a step that was made since the last look, if one was."""
        if self.seen is not None and self.look():
            self.update()

    @torch.no_grad()
    def update(self) -> None:
        """Follow the online weights, as last looked at, by one step."""
        for name, part in self.seen.parts.items():
            if self.seen.own[part]:
                torch._foreach_lerp_(self.seen.own[part], self.seen.online[part],
                                     1 - self.momentum_of(name))
        self.steps += 1

    def momentum_of(self, name: str) -> float:
        """Return the momentum of the module of this name, at this point of the run."""
        start, end = (value.get(name, default) if isinstance(value, dict) else value
                      for value, default in ((self.momentum, 0.999), (self.end_momentum, None)))
        return start if end is None else cosine_momentum(start, end, self.progress)

    def _save_to_state_dict(self, *args) -> None:
        self.catch_up()
        super()._save_to_state_dict(*args)

    def _load_from_state_dict(self, *args) -> None:
        super()._load_from_state_dict(*args)
        self.seen = None                                    # what was loaded is no step

    def __getstate__(self) -> dict:
        self.catch_up()
        return {**super().__getstate__(), 'seen': None}     # a copy has parameters of its own

    @torch.no_grad()
    def forward(self, images: Tensor, encode: Callable[[nn.Module, Tensor], tuple]) -> tuple:
        """Return ``encode(twin, images)`` for images (B, …): tensors of B rows each, in order."""
        if not self.mixes or get_world_size() == 1 or not self.training:
            return encode(self, images)
        order = torch.randperm(len(images), device=images.device)
        mixed = encode(self, exchange_rows(images[order]))
        return tuple(torch.empty_like(rows).index_copy_(0, order, exchange_rows(rows, back=True))
                     for rows in mixed)
