"""Losses that any method can have beside its own: against places, and back to where it began."""
from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from mmdense.mistakes import WrongValue
from mmdense.registry import MODELS

from .losses.place import place_share
from .selfsup.base import DenseSSL, build, encode


class Penalty(nn.Module):
    """Base of the components of a method's ``penalties``.

    Args:
        weight: of the loss.

    Raises:
        ValueError: a weight that is not above 0.
    """

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        if not 0 < weight < float('inf'):
            raise WrongValue(f'{type(self).__name__}(weight={weight}): expected a number above 0')
        self.weight = weight

    def prepare(self, method: DenseSSL) -> None:
        """Look at the method when it is made."""

    def begin(self, method: DenseSSL) -> None:
        """Look at the method before each training step, outside a compiled graph."""

    def forward(self, method: DenseSSL, passes: list[tuple[Tensor, Tensor]]) -> Tensor:
        """Return the weighted loss, a scalar.

        Args:
            passes: what went through the trained network in this step, one per view: images
                (B, 3, H, W) and their map (B, C, h, w), with gradient.
        """
        raise NotImplementedError


@MODELS.register_module()
class PlacePenalty(Penalty):
    """:func:`~mmdense.models.losses.place_share` of the maps, a mean over the views.

    Where padding or a fixed camera lets a network know places, this keeps it from saying them.
    Crops and flips move what an image shows, so what is the same at a place of all views is not
    content.
    """

    def forward(self, method: DenseSSL, passes: list[tuple[Tensor, Tensor]]) -> Tensor:
        """Return the weighted share, a scalar."""
        return self.weight * sum(place_share(features) for _, features in passes) / len(passes)


class StartPenalty(Penalty):
    """Base of what remembers a method's networks as they were at its first training step.

    By then a checkpoint was loaded. What is remembered is in buffers, so a resumed run goes on with
    the same start; a new run that loads another run's weights (``load_from``) begins with those.
    """

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__(weight)
        self.register_buffer('taken', torch.zeros((), dtype=torch.bool))
        self.ready = False

    def take(self, method: DenseSSL) -> None:
        """Remember the method's networks as they are."""
        raise NotImplementedError

    @torch.no_grad()
    def begin(self, method: DenseSSL) -> None:
        """Remember the networks unless that was done."""
        if not self.ready:
            if not self.taken.item():              # once a process, not once a step
                self.take(method)
                self.taken.fill_(True)
            self.ready = True

    def start_anew(self) -> str | None:
        """Forget another run's start; say so."""
        if not self.taken.item():
            return None
        self.taken.fill_(False)
        self.ready = False
        return f'{type(self).__name__} pulls to the weights that were loaded'

    def _load_from_state_dict(self, *args) -> None:
        super()._load_from_state_dict(*args)
        self.ready = False


@MODELS.register_module()
class L2SP(StartPenalty):
    """Squared distance of the backbone's parameters to their start (Li et al., 1802.01483).

    ``weight / 2 sum (w - w0)^2``. Buffers, as BatchNorm's statistics, are free. It costs a copy of
    the parameters, and no forward. Weight decay beside it still pulls to 0:
    ``optim_wrapper.paramwise_cfg.custom_keys.backbone.decay_mult=0`` ends that.
    """

    def prepare(self, method: DenseSSL) -> None:
        """Make a buffer for each parameter that is trained."""
        self.names = [name for name, p in method.backbone.named_parameters() if p.requires_grad]
        for number, start in enumerate(self.present(method)):
            self.register_buffer(f'start{number}', torch.zeros_like(start))

    def present(self, method: DenseSSL) -> list[Tensor]:
        """The parameters as they are, in the order of ``names``."""
        own = dict(method.backbone.named_parameters())
        return [own[name] for name in self.names]

    @property
    def starts(self) -> list[Tensor]:
        """The parameters as they began, in the order of ``names``."""
        return [getattr(self, f'start{number}') for number in range(len(self.names))]

    def take(self, method: DenseSSL) -> None:
        """Copy the parameters."""
        torch._foreach_copy_(self.starts, self.present(method))

    def forward(self, method: DenseSSL, passes: list[tuple[Tensor, Tensor]]) -> Tensor:
        """Return the weighted distance, a scalar."""
        apart = torch._foreach_sub(self.present(method), self.starts)
        return self.weight / 2 * torch.stack([one.square().sum() for one in apart]).sum()


@MODELS.register_module()
class FeatureAnchor(StartPenalty):
    """How far the map of the first view has moved from what the starting networks make of it.

    It costs a frozen copy of the encoder, in eval mode, and its forward on one view per step. Of a
    method of cells it is the map of cells.

    Args:
        loss: of two maps (B, C, h, w): ``mmdense.KernelAlignmentLoss``, ``GramLoss`` or
            ``CellCosineLoss``.
        weight: of the loss.
    """

    def __init__(self, loss: dict, weight: float = 1.0) -> None:
        super().__init__(weight)
        self.criterion = build(loss)

    def prepare(self, method: DenseSSL) -> None:
        """Copy the backbone, and the decode head where there is one."""
        self.frozen = nn.ModuleDict(copy.deepcopy(method.encoder())).requires_grad_(False)

    def take(self, method: DenseSSL) -> None:
        """Take the weights and buffers over."""
        for name, module in method.encoder().items():
            self.frozen[name].load_state_dict(module.state_dict())

    def train(self, mode: bool = True) -> FeatureAnchor:
        """Set the mode, of all but the frozen networks."""
        super().train(mode)
        for module in self.frozen.values():
            module.eval()
        return self

    def forward(self, method: DenseSSL, passes: list[tuple[Tensor, Tensor]]) -> Tensor:
        """Return the weighted loss, a scalar."""
        images, own = passes[0]
        with torch.no_grad():
            start = encode(self.frozen, images, getattr(method, 'cell_index', method.out_index))
        return self.weight * self.criterion(own, start)
