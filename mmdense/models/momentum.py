"""The momentum twin: a slowly following copy of the trained network, without gradient."""
from __future__ import annotations

import copy
import math
import weakref
from collections.abc import Callable

import torch
import torch.distributed as dist
from mmengine.dist import get_rank, get_world_size
from mmengine.logging import MessageHub, print_log
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from .split_batch_norm import split_batch_norm


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


#: twins that follow their online modules in this process
FOLLOWERS: weakref.WeakSet[MomentumTwin] = weakref.WeakSet()


def update_followers(optimizer: torch.optim.Optimizer, args: tuple, kwargs: dict) -> None:
    """Update each twin whose online weights this optimiser has just stepped."""
    held = {id(p) for group in optimizer.param_groups for p in group['params']}
    for twin in list(FOLLOWERS):
        trained = next((p for p in twin.pairs()[1] if p.requires_grad), None)
        if id(trained) in held:
            twin.update()


register_optimizer_step_post_hook(update_followers)


class MomentumTwin(nn.Module):
    """Copies of some modules that follow them as ``twin <- m twin + (1 - m) online``.

    It takes the online weights and buffers over at the first training step (a pretrained start is
    loaded after construction), and follows once after each step of the optimiser that holds them:
    gradient accumulation and skipped AMP steps are counted right without a hook in the config.
    BatchNorm buffers are its own. State dict: ``twin.<name>.*`` and ``twin.steps``.

    Args:
        online: the modules to follow, by the name that the copy gets here.
        momentum: m in the papers' sense, 0.999 keeps 99.9 % of the old weight.
        end_momentum: where given, m rises to it along a cosine over the run.
        bn: how the twin's batch is normalised. ``'shuffle'`` mixes samples over processes (and,
            on one process, where that is impossible, says so once), ``'split'`` normalises up to
            8 groups of the batch apart, ``'plain'`` does neither.

    Raises:
        ValueError: momentum outside [0, 1] (0.001 is mmengine's convention and would be far too
            fast, so values below 0.5 are refused too), or another ``bn``.
    """

    def __init__(self, online: dict[str, nn.Module], momentum: float = 0.999,
                 end_momentum: float | None = None, bn: str = 'shuffle') -> None:
        super().__init__()
        if not 0.5 <= momentum <= 1:
            raise ValueError(f'twin momentum {momentum}: expected 0.5 to 1 in the papers\' sense '
                             '(0.999 keeps 99.9 % of the old weights; mmengine writes that 0.001)')
        if bn not in ('shuffle', 'split', 'plain'):
            raise ValueError(f"twin bn={bn!r}: expected 'shuffle', 'split' or 'plain'")
        self.momentum, self.end_momentum, self.bn = momentum, end_momentum, bn
        for name, module in online.items():
            follower = copy.deepcopy(module).requires_grad_(False)
            self.add_module(name, split_batch_norm(follower) if bn == 'split' else follower)
        self.register_buffer('steps', torch.zeros((), dtype=torch.long))
        self.has_weights = False
        # outside nn.Module's registration: the online modules belong to the method, not to us
        self.__dict__['online'] = dict(online)

    def pairs(self) -> tuple[list[Tensor], list[Tensor]]:
        """Return the parameters of the copies and of the modules that they follow."""
        own = [p for name in self.online for p in getattr(self, name).parameters()]
        return own, [p for module in self.online.values() for p in module.parameters()]

    @torch.compiler.assume_constant_result
    @torch.no_grad()
    def start(self) -> None:
        """Take the online weights over if nothing was trained yet, and begin to follow.

        A compiled step does it while it is compiled, and leaves no trace of it in its graph.
        """
        if self in FOLLOWERS:
            return
        if self.steps.item() == 0 and not self.has_weights:  # once a process, not once a step
            for name, module in self.online.items():
                getattr(self, name).load_state_dict(module.state_dict())
        if self.bn == 'shuffle' and get_world_size() == 1:
            print_log("the twin's bn='shuffle' needs several processes and does nothing on one: "
                      "its BatchNorm can leak which key is whose; set model.twin.bn='split'",
                      'current', level=30)
        FOLLOWERS.add(self)

    def start_anew(self) -> str | None:
        """Count steps from 0, and warm-ups with them; keep the weights of another run; say so."""
        steps = self.steps.item()
        if steps == 0:
            return None
        self.steps.zero_()
        self.has_weights = True
        return f'the twin keeps its weights of step {steps} and counts from 0'

    @torch.no_grad()
    def update(self) -> None:
        """Follow the online weights by one step."""
        own, online = self.pairs()
        momentum = self.momentum
        if self.end_momentum is not None:
            momentum = cosine_momentum(momentum, self.end_momentum, run_progress())
        torch._foreach_lerp_(own, online, 1 - momentum)
        self.steps += 1

    @torch.no_grad()
    def forward(self, images: Tensor, encode: Callable[[nn.Module, Tensor], tuple]) -> tuple:
        """Return ``encode(twin, images)`` for images (B, …): tensors of B rows each, in order."""
        if self.bn != 'shuffle' or get_world_size() == 1 or not self.training:
            return encode(self, images)
        order = torch.randperm(len(images), device=images.device)
        mixed = encode(self, exchange_rows(images[order]))
        return tuple(torch.empty_like(rows).index_copy_(0, order, exchange_rows(rows, back=True))
                     for rows in mixed)
