"""Losses that any method can have beside its own: what pulls a network back to where it began."""
from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from mmdense.mistakes import WrongValue
from mmdense.registry import MODELS

from .maps import backbone_maps, choose_map, turn_maps


@contextmanager
def first_pass(backbone: nn.Module) -> Iterator[list]:
    """Keep the images and the outputs of the first forward of a backbone in this context."""
    kept: list = []

    def keep(module: nn.Module, inputs: tuple[Tensor, ...], output: object) -> None:
        if not kept:
            kept.extend((inputs[0], output))
    handle = backbone.register_forward_hook(keep)
    try:
        yield kept
    finally:
        handle.remove()


class StartPenalty(nn.Module):
    """Base of what remembers a method's backbone as it was at its first training step.

    By then a checkpoint was loaded. What is remembered is in buffers, so a resumed run goes on with
    the same start; a new run that loads another run's weights (``load_from``) begins with those.

    Args:
        weight: of the loss.

    Raises:
        ValueError: a weight that is not above 0.
    """

    def __init__(self, weight: float) -> None:
        super().__init__()
        if not 0 < weight < float('inf'):
            raise WrongValue(f'{type(self).__name__}(weight={weight}): expected a number above 0')
        self.weight = weight
        self.register_buffer('taken', torch.zeros((), dtype=torch.bool))
        self.ready = False

    def prepare(self, backbone: nn.Module) -> None:
        """Make room for what :meth:`take` remembers, at construction."""
        raise NotImplementedError

    def take(self, backbone: nn.Module) -> None:
        """Remember the backbone as it is."""
        raise NotImplementedError

    @torch.no_grad()
    def begin(self, backbone: nn.Module) -> None:
        """Remember the backbone unless that was done; to be called before each training step."""
        if not self.ready:
            if not self.taken.item():              # once a process, not once a step
                self.take(backbone)
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

    ``weight / 2 sum (w - w0)^2``. Buffers, as BatchNorm's statistics, are free. It
    costs a copy of the parameters, and no forward. Weight decay beside it still pulls to 0:
    ``optim_wrapper.paramwise_cfg.custom_keys.backbone.decay_mult=0`` ends that.
    """

    def prepare(self, backbone: nn.Module) -> None:
        """Make a buffer for each parameter that is trained."""
        self.names = [name for name, p in backbone.named_parameters() if p.requires_grad]
        for number, name in enumerate(self.names):
            self.register_buffer(f'start{number}', torch.zeros_like(backbone.get_parameter(name)))

    @property
    def starts(self) -> list[Tensor]:
        """The parameters as they began, in the order of ``names``."""
        return [getattr(self, f'start{number}') for number in range(len(self.names))]

    def take(self, backbone: nn.Module) -> None:
        """Copy the parameters."""
        torch._foreach_copy_(self.starts, [backbone.get_parameter(name) for name in self.names])

    def forward(self, method: nn.Module, images: Tensor, maps: Tensor | Sequence) -> Tensor:
        """Return the penalty of a method's backbone, a scalar."""
        own = dict(method.backbone.named_parameters())
        apart = torch._foreach_sub([own[name] for name in self.names], self.starts)
        return self.weight / 2 * torch.stack([one.square().sum() for one in apart]).sum()


@MODELS.register_module()
class FeatureAnchor(StartPenalty):
    """How far the map of the first view has moved from what the starting network makes of it.

    It costs a frozen copy of the backbone, and its forward on one view per step. The frozen copy
    is in eval mode. The map is the method's ``out_index``.

    Args:
        loss: of two maps (B, C, h, w): ``mmdense.KernelAlignmentLoss``, ``GramLoss`` or
            ``CellCosineLoss``.
        weight: of the loss.
    """

    def __init__(self, loss: dict, weight: float = 1.0) -> None:
        super().__init__(weight)
        self.criterion = MODELS.build(loss)

    def prepare(self, backbone: nn.Module) -> None:
        """Copy the backbone."""
        self.frozen = copy.deepcopy(backbone).requires_grad_(False)

    def take(self, backbone: nn.Module) -> None:
        """Take the backbone's weights and buffers over."""
        self.frozen.load_state_dict(backbone.state_dict())

    def train(self, mode: bool = True) -> FeatureAnchor:
        """Set the mode, of all but the frozen network."""
        super().train(mode)
        self.frozen.eval()                   # mmseg's ResNet returns None here
        return self

    def forward(self, method: nn.Module, images: Tensor, maps: Tensor | Sequence) -> Tensor:
        """Return the loss, a scalar.

        Args:
            images: (B, 3, H, W), of the first pass of the method's backbone in this step.
            maps: what the backbone gave of them.
        """
        with torch.no_grad():
            start = choose_map(self.frozen, backbone_maps(self.frozen, images), method.out_index)
        own = choose_map(method.backbone, turn_maps(method.backbone, maps, images.shape[2:]),
                         method.out_index)
        return self.weight * self.criterion(own, start)
