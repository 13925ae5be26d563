"""PaKA: the cells of a view are as alike as a twin finds those of the same places in another."""
from __future__ import annotations

from torch import Tensor, nn

from mmdense.registry import MODELS
from mmdense.structures import Views

from ..matching import read_at
from .base import build
from .two_branch import TwoBranchSSL


@MODELS.register_module()
class PaKA(TwoBranchSSL):
    """Kernel alignment of a student's cells with its own twin's (after 2509.05606).

    The twin's map of the second view is read at the centres of the first view's cells
    (:func:`read_at`). Of each image the cells that both views show are compared: 1 minus the
    linear CKA of the two sets, so which cells are alike counts, not how they are written. No
    negatives, no queue; nothing of the twin has a gradient. The loss is a mean over the images
    with two shared cells or more, of all processes; ``matched`` in the log is the share of shared
    cells.

    A network that says places and nothing else has no loss at all: so it is for a start that knows
    things, not for random weights. Watch ``place_share``.

    Args:
        twin: arguments of :class:`MomentumTwin`.
        loss: of two maps and the cells that count, ``mmdense.KernelAlignmentLoss`` by default.
        cell_projector: head of the map of cells, (B, C, h, w) -> (B, D, h, w); None compares the
            map itself.
    """
    heads = optional_heads = cell_heads = ('cell_projector',)

    def __init__(self, backbone: dict, twin: dict, loss: dict | None = None,
                 cell_projector: dict | None = None, **kwargs) -> None:
        super().__init__(backbone, twin, cell_projector=cell_projector and {
            **cell_projector, 'dense': True}, **kwargs)
        self.criterion = build(loss or dict(type='mmdense.KernelAlignmentLoss'))

    def project(self, net: nn.Module, images: Tensor) -> tuple[Tensor]:
        """Return cells (B, D, h, w) of images under ``net``."""
        cells = self.encode_both(images, net)[1]
        return (cells if self.cell_projector is None else net.cell_projector(cells),)

    def loss_map(self, images: Tensor) -> Tensor:
        """Return the map (B, C, h, w) of the cells of images (B, 3, H, W)."""
        return self.encode_both(images)[1]

    def objective(self, online: tuple[Tensor], target: tuple[Tensor],
                  views: Views) -> dict[str, Tensor]:
        """Return ``loss_alignment`` and ``matched``."""
        own, other = online[0], target[0]
        read, valid = read_at(other.float(), tuple(views.boxes[:2]), tuple(views.flips[:2]),
                              tuple(own.shape[2:]))
        return dict(loss_alignment=self.criterion(own, read, valid), matched=valid.float().mean())
