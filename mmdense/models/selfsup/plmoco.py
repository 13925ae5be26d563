"""PLMoCo: MoCo whose instances are the cells of a map, paired by where they lie in the image."""
from __future__ import annotations

import torch
from torch import Tensor, nn

from mmdense.gathering import share_of_rows
from mmdense.mistakes import WrongValue
from mmdense.registry import MODELS
from mmdense.structures import Views

from ..matching import Matches, draw_cells
from .base import build
from .queue_contrast import QueueContrast
from .two_branch import TwoBranchSSL


@MODELS.register_module()
class PLMoCo(TwoBranchSSL):
    """InfoNCE of cells with a queue of cells of many images (patch-level MoCo).

    ``num_cells`` cells of each query are drawn, those first that the key view shows too. Positive
    of a cell: the twin's cell that the matcher gives. Negatives: the queue, which takes as many
    cells of each key view, drawn from all of them; so every process pushes the same number.
    Everything of the twin is without gradient. Optionally MoCo's loss of whole images beside it:
    ``(1 - w) loss_cells + w loss_image``, w = ``image_weight``.

    The loss is a mean over the cells that have a positive, of all processes together; ``matched``
    in the log is their share. An image without such cells counts as nothing.

    Args:
        cell_projector: head of the map of cells, (B, C, h, w) -> (B, D, h, w).
        queue: ``size``, ``init`` and ``own_image`` of :class:`QueueContrast`, of the cells.
        twin: arguments of :class:`MomentumTwin`.
        loss: the contrast, with its temperature.
        matcher: how cells are paired, ``mmdense.GeometryMatcher`` by default.
        num_cells: drawn per view; of maps with fewer all.
        projector: head of the pooled map, (B, C) -> (B, D), for the loss of whole images; None
            leaves it out.
        image_queue: as ``queue``, of whole images.
        image_weight: w.

    Raises:
        ValueError: ``num_cells`` below 1, a weight outside [0, 1), or one of ``projector`` and
            ``image_queue`` without the other.
    """
    heads = ('projector', 'cell_projector')
    optional_heads = ('projector',)
    cell_heads = ('cell_projector',)

    @classmethod
    def queue_keys(cls, model: dict) -> dict[str, int]:
        """Return the keys that an image adds to either queue."""
        return dict(queue=model.get('num_cells', 64), image_queue=1)

    def __init__(self, backbone: dict, cell_projector: dict, queue: dict, twin: dict, loss: dict,
                 matcher: dict | None = None, num_cells: int = 64, projector: dict | None = None,
                 image_queue: dict | None = None, image_weight: float = 0.5, **kwargs) -> None:
        super().__init__(backbone, twin, projector=projector,
                         cell_projector={**cell_projector, 'dense': True}, **kwargs)
        if num_cells < 1 or not 0 <= image_weight < 1:
            raise WrongValue(f'PLMoCo(num_cells={num_cells}, image_weight={image_weight}): '
                             'expected at least 1 cell and a weight from 0 to below 1')
        if (projector is None) != (image_queue is None):
            raise WrongValue('PLMoCo: the loss of whole images needs both projector and '
                             'image_queue; expected both or none')
        self.matcher = build(matcher or dict(type='mmdense.GeometryMatcher'))
        self.num_cells = num_cells
        self.contrast = QueueContrast(loss, self.cell_projector.out_channels, **queue)
        self.image_contrast = None if projector is None else QueueContrast(
            loss, self.projector.out_channels, **image_queue)
        self.image_weight = 0.0 if projector is None else image_weight

    def project(self, net: nn.Module, images: Tensor) -> tuple[Tensor, ...]:
        """Return cells (B, D, h, w), their features (B, C, h, w) and maybe vectors (B, D)."""
        whole, features = self.encode_both(images, net)
        cells = net.cell_projector(features), features.detach()
        return cells if self.projector is None else (
            *cells, net.projector(whole.mean(dim=(2, 3))))

    def loss_map(self, images: Tensor) -> Tensor:
        """Return the map (B, C, h, w) of the cells of images (B, 3, H, W)."""
        return self.encode_both(images)[1]

    def draw(self, valid: Tensor, cells: Tensor) -> tuple[Tensor, Tensor]:
        """Return the numbers (B, n) of cells that are drawn, and these cells (B, D, n).

        Args:
            valid: (B, N) bool, which are drawn first.
            cells: (B, D, N).
        """
        drawn = draw_cells(valid, self.num_cells)
        return drawn, Matches(torch.ones_like(drawn, dtype=torch.bool), drawn).take(cells)

    def objective(self, online: tuple[Tensor, ...], target: tuple[Tensor, ...],
                  views: Views) -> dict[str, Tensor]:
        """Return ``loss_cells``, maybe ``loss_image``, weighted, and ``matched``; push the keys."""
        found = self.matcher(online[1], target[1], views)
        cells, keys = online[0].flatten(2), target[0].flatten(2)
        drawn, rows = self.draw(found.valid, cells)
        found = found.choose(drawn)
        positives = found.take(keys)
        _, kept = self.draw(torch.ones_like(keys[:, 0], dtype=torch.bool), keys)
        rows, positives, kept = (x.transpose(1, 2).flatten(0, 1) for x in (rows, positives, kept))
        valid = found.valid.flatten()
        loss = self.contrast(rows, positives, views.index, kept, valid) * share_of_rows(valid)
        losses = dict(loss_cells=(1 - self.image_weight) * loss, matched=valid.float().mean())
        if self.image_contrast is not None:
            losses['loss_image'] = self.image_weight * self.image_contrast(
                online[2], target[2], views.index)
        return losses
