"""LARS (You et al., arXiv 1708.03888), as BYOL and DetCon use it, without waiting for the GPU."""
from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from mmdense.mistakes import WrongValue
from mmdense.registry import OPTIMIZERS


@torch.no_grad()
def trust_ratios(weights: list[Tensor], updates: list[Tensor], eta: float) -> list[Tensor]:
    """Return eta |weight| / |update| of each tensor, a scalar; 1 where either norm is 0."""
    of_weight = torch.stack(torch._foreach_norm(weights))
    of_update = torch.stack(torch._foreach_norm(updates))
    usable = (of_weight > 0) & (of_update > 0)
    ratio = torch.where(usable, eta * of_weight / of_update.masked_fill(~usable, 1), 1)
    return list(ratio.unbind())


@OPTIMIZERS.register_module()
class LARS(torch.optim.Optimizer):
    """SGD whose step of each weight has a length in proportion to the weight's own.

    ``u = g + weight_decay w; v <- momentum v + eta |w| / |u| u; w <- w - lr v``. Biases and norms,
    which are all vectors (``ndim`` below 2), get neither decay nor adaptation. So it is in BYOL's
    and DetCon's published programs; mmpretrain's LARS has the rate inside ``v`` and |w| in the
    divisor, and leaves out what is named in the config.

    Args:
        params: parameters or groups.
        lr: learning rate, of adapted and other parameters alike.
        momentum: 0.9 keeps 90 % of the last step.
        weight_decay: of weights of two and more axes.
        eta: length of a step at rate 1, as a share of the weight's.

    Raises:
        ValueError: a setting below 0, or momentum of 1 and above.
    """

    def __init__(self, params: Iterable, lr: float, momentum: float = 0.9,
                 weight_decay: float = 0.0, eta: float = 1e-3) -> None:
        if min(lr, momentum, weight_decay, eta) < 0 or momentum >= 1:
            raise WrongValue(f'LARS: lr={lr}, momentum={momentum}, weight_decay={weight_decay}, '
                             f'eta={eta}; expected numbers of at least 0, momentum below 1')
        super().__init__(params, dict(lr=lr, momentum=momentum, weight_decay=weight_decay,
                                      eta=eta))

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:
        """Change the weights by one step."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            moved = [p for p in group['params'] if p.grad is not None]
            adapted = [p for p in moved if p.ndim > 1]
            others = [p for p in moved if p.ndim <= 1]
            if adapted:
                updates = torch._foreach_add([p.grad for p in adapted], adapted,
                                             alpha=group['weight_decay'])
                torch._foreach_mul_(updates, trust_ratios(adapted, updates, group['eta']))
                self.move(adapted, updates, group)
            if others:
                self.move(others, [p.grad for p in others], group)
        return loss

    def move(self, params: list[Tensor], updates: list[Tensor], group: dict) -> None:
        """Add updates to the momentum of ``params``, and take the step."""
        for p in params:
            if 'momentum_buffer' not in self.state[p]:
                self.state[p]['momentum_buffer'] = torch.zeros_like(p)
        momenta = [self.state[p]['momentum_buffer'] for p in params]
        torch._foreach_mul_(momenta, group['momentum'])
        torch._foreach_add_(momenta, updates)
        torch._foreach_add_(params, momenta, alpha=-group['lr'])
