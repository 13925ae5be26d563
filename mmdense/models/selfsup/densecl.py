"""DenseCL: dense contrastive learning (Wang et al., CVPR 2021, arXiv 2011.09157)."""
from __future__ import annotations

import torch
from torch import Tensor, nn

from mmdense.registry import MODELS
from mmdense.structures import Views

from ..maps import pool_to_grid
from ..necks import add_context
from .base import build
from .moco import MoCo
from .queue_contrast import QueueContrast


@MODELS.register_module()
class DenseCL(MoCo):
    """MoCo v2 and, beside it, the same contrast for every cell of the map (eq. 2, 3 and 5).

    Positive of a cell: the twin's projection of the cell whose *backbone* feature is most similar
    to it. Negatives: a second queue, of the twin's dense projections, averaged over the image. The
    match is an index, so no gradient flows through it.

    Loss: ``(1 - w) loss_single + w loss_dense``, w = ``dense_weight`` after ``dense_warmup``
    optimiser steps and 0 before. Each is a mean over its rows; of cells those that have a match.

    Args:
        projector, queue, twin, loss: as of :class:`MoCo`; ``queue`` and ``loss`` are those of the
            cells too.
        dense_projector: head of the map of cells, (B, C, h, w) -> (B, D, h, w). That map may be
            another than the one that is pooled for ``projector``: ``cell_index``.
        matcher: how cells are paired, from both maps and the views' geometry.
        context: what an asking cell learns of its surroundings behind ``dense_projector``, such as
            ``mmdense.PixelPropagation``; None = nothing.
        dense_weight: weight of the dense loss (lambda in the paper).
        dense_warmup: optimiser steps before the dense loss counts.
        num_grid: side of the square grid that the map is pooled to before matching and dense
            projection; None keeps the map.
    """
    heads = ('projector', 'dense_projector')
    optional_heads = encoder_heads = ()
    cell_heads = ('dense_projector',)
    warmups = ('dense_warmup',)

    def __init__(self, backbone: dict, dense_projector: dict, queue: dict, loss: dict,
                 matcher: dict, dense_weight: float = 0.5, dense_warmup: int = 1000,
                 num_grid: int | None = None, context: dict | None = None, **kwargs) -> None:
        super().__init__(backbone, queue, loss=loss,
                         dense_projector={**dense_projector, 'dense': True}, **kwargs)
        add_context(self, context, self.dense_projector.out_channels)
        self.dense_contrast = QueueContrast(loss, self.dense_projector.out_channels, **queue)
        self.matcher = build(matcher)
        self.dense_weight, self.dense_warmup = dense_weight, dense_warmup
        self.num_grid = num_grid

    def project(self, net: nn.Module, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return vector (B, D), cells (B, D, h, w), map (B, C, h, w) of images under ``net``.

        The map is what cells are matched by, and has no gradient.
        """
        whole, features = self.encode_both(images, net)
        vector, cells = net.projector(whole.mean(dim=(2, 3))), self.pool(features)
        return vector, net.dense_projector(cells), cells.detach()

    def pool(self, features: Tensor) -> Tensor:
        """Return a map (B, C, h, w) pooled to the grid of cells, if there is one."""
        return pool_to_grid(features, self.num_grid)

    def loss_map(self, images: Tensor) -> Tensor:
        """Return the map (B, C, h, w) that the dense loss compares, of images (B, 3, H, W)."""
        return self.pool(self.encode_both(images)[1])

    def objective(self, online: tuple[Tensor, Tensor, Tensor],
                  target: tuple[Tensor, Tensor, Tensor], views: Views) -> dict[str, Tensor]:
        """Return ``loss_single`` and ``loss_dense``, weighted; push the keys.

        Args:
            online, target: vector (B, D), cells (B, D, h, w) and map of query and key.
            views: of both.
        """
        cells, key_cells = self.context(online[1]).flatten(2), target[1].flatten(2)
        query_map, key_map = online[2], target[2]
        single = super().objective(online, target, views)['loss_image']
        matches = self.matcher(query_map, key_map, views)
        rows, positives = (x.transpose(1, 2).flatten(0, 1)
                           for x in (cells, matches.take(key_cells)))
        dense = self.dense_contrast(rows, positives, views.index, key_cells.float().mean(dim=2),
                                    matches.valid.flatten())
        weight = torch.where(self.twin.steps < self.dense_warmup, 0.0, self.dense_weight)
        return dict(loss_single=(1 - weight) * single, loss_dense=weight * dense)
