"""PLMoCo: MoCo whose instances are the cells of a map, paired by where they lie in the image."""
from __future__ import annotations

import torch
from torch import Tensor, nn

from mmdense.gathering import share_of_rows
from mmdense.mistakes import WrongValue
from mmdense.registry import MODELS
from mmdense.structures import Views

from ..matching import Matches, draw_cells
from ..necks import add_context
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

    With a ``decode_head`` it is PLEDMoCo: the cells are those of the decoder's map. The encoder's
    own loss of cells can be kept beside it (``encoder_projector``), with a queue of its own.

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
        context: what an asking cell learns of its surroundings behind ``cell_projector``, such as
            ``mmdense.NeighbourContext``; None = nothing.
        encoder_projector: head of the encoder's own map of cells, beside a decode head's; None
            leaves ``loss_encoder`` out.

    Raises:
        ValueError: ``num_cells`` below 1, a weight outside [0, 1), or one of ``projector`` and
            ``image_queue`` without the other.
    """
    heads = ('projector', 'cell_projector', 'encoder_projector')
    optional_heads = ('projector', 'encoder_projector')
    cell_heads = ('cell_projector',)
    encoder_heads = ('encoder_projector',)
    pictures = dict(places=())

    @classmethod
    def queue_keys(cls, model: dict) -> dict[str, int]:
        """Return the keys that an image adds to either queue."""
        return dict(queue=model.get('num_cells', 64), image_queue=1)

    def __init__(self, backbone: dict, cell_projector: dict, queue: dict, twin: dict, loss: dict,
                 matcher: dict | None = None, num_cells: int = 64, projector: dict | None = None,
                 image_queue: dict | None = None, image_weight: float = 0.5,
                 context: dict | None = None, encoder_projector: dict | None = None,
                 **kwargs) -> None:
        super().__init__(
            backbone, twin, projector=projector, cell_projector={**cell_projector, 'dense': True},
            encoder_projector=encoder_projector and {**encoder_projector, 'dense': True}, **kwargs)
        if num_cells < 1 or not 0 <= image_weight < 1:
            raise WrongValue(f'PLMoCo(num_cells={num_cells}, image_weight={image_weight}): '
                             'expected at least 1 cell and a weight from 0 to below 1')
        if (projector is None) != (image_queue is None):
            raise WrongValue('PLMoCo: the loss of whole images needs both projector and '
                             'image_queue; expected both or none')
        self.matcher = build(matcher or dict(type='mmdense.GeometryMatcher'))
        self.num_cells = num_cells
        add_context(self, context, self.cell_projector.out_channels)
        self.contrast = QueueContrast(loss, self.cell_projector.out_channels, **queue)
        self.image_contrast = None if projector is None else QueueContrast(
            loss, self.projector.out_channels, **image_queue)
        self.image_weight = 0.0 if projector is None else image_weight
        self.encoder_contrast = QueueContrast(
            loss, self.encoder_projector.out_channels, **queue) if self.under else None

    def project(self, net: nn.Module, images: Tensor) -> tuple[Tensor, ...]:
        """Return cells (B, D, h, w) and what they are matched by (B, C, h, w).

        Then, where there are heads for them, vectors (B, D), and of the encoder's own map what
        stands first.
        """
        whole, features, *own = self.encode_both(images, net)
        return (net.cell_projector(features), features.detach(),
                *(() if self.projector is None else (net.projector(whole.mean(dim=(2, 3))),)),
                *(part for cells in own for part in (net.encoder_projector(cells), cells.detach())))

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

    def kept(self, keys: Tensor, positives: Tensor) -> Tensor:
        """Return what the queue takes (B, D, n): drawn of all cells of the key view.

        Args:
            keys: (B, D, M), the cells of the key view.
            positives: (B, D, n), the partners of the drawn cells.
        """
        return self.draw(torch.ones_like(keys[:, 0], dtype=torch.bool), keys)[1]

    def compare(self, contrast: QueueContrast, maps: tuple[Tensor, Tensor],
                targets: tuple[Tensor, Tensor], views: Views) -> tuple[Tensor, Tensor]:
        """Return the loss of cells, a scalar, and the share that is matched; push the keys.

        Args:
            contrast: with the queue of these cells.
            maps, targets: cells (B, D, h, w), and what they are matched by (B, C, h, w), of query
                and key.
        """
        found = self.matcher(maps[1], targets[1], views)
        cells, keys = maps[0].flatten(2), targets[0].flatten(2)
        drawn, rows = self.draw(found.valid, cells)
        found = found.choose(drawn)
        positives = found.take(keys)
        rows, positives, kept = (x.transpose(1, 2).flatten(0, 1) for x in (
            rows, positives, self.kept(keys, positives)))
        valid = found.valid.flatten()
        loss = contrast(rows, positives, views.index, kept, valid) * share_of_rows(valid)
        return loss, valid.float().mean()

    def objective(self, online: tuple[Tensor, ...], target: tuple[Tensor, ...],
                  views: Views) -> dict[str, Tensor]:
        """Return ``loss_cells``, maybe the two others, weighted, and ``matched``; push the keys."""
        loss, matched = self.compare(self.contrast, (self.context(online[0]), online[1]),
                                     target[:2], views)
        losses = dict(loss_cells=(1 - self.image_weight) * loss, matched=matched)
        if self.image_contrast is not None:
            losses['loss_image'] = self.image_weight * self.image_contrast(
                online[2], target[2], views.index)
        return losses if self.encoder_contrast is None else self.beside_encoder(
            losses, self.compare(self.encoder_contrast, online[-2:], target[-2:], views)[0])
