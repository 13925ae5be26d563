"""DenseCL: dense contrastive learning (Wang et al., CVPR 2021, arXiv 2011.09157)."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmdense.registry import MODELS
from mmdense.structures import Views

from ..momentum import MomentumTwin
from ..queue import FeatureQueue
from .base import DenseSSL, build


@MODELS.register_module()
class DenseCL(DenseSSL):
    """MoCo v2 and, beside it, the same contrast for every cell of the map (eq. 2, 3 and 5).

    Positive of a vector: the twin's vector of the other view. Positive of a cell: the twin's
    projection of the cell whose *backbone* feature is most similar to it. Negatives: a queue of
    the twin's vectors; a second queue of the twin's dense projections, averaged over the image.
    View 1 is the query, view 2 the key (one direction). Everything of the twin is without
    gradient; the match is an index, so no gradient flows through it either.

    Loss: ``(1 - w) loss_single + w loss_dense``, w = ``dense_weight`` after ``dense_warmup``
    optimiser steps and 0 before. Each is a mean over its rows, so with equal batches the mean
    over processes is the loss of the joined batch.

    Args:
        projector: head of the pooled map, (B, C) -> (B, D).
        dense_projector: head of the map, (B, C, h, w) -> (B, D, h, w).
        queue: ``size`` and ``init`` of both :class:`FeatureQueue`, and ``own_image``:
            ``'negative'`` (published) keeps old keys of a query's own image as negatives,
            ``'masked'`` leaves them out.
        twin: arguments of :class:`MomentumTwin`.
        loss: the contrast, with its temperature.
        matcher: how cells are paired.
        dense_weight: weight of the dense loss (lambda in the paper).
        dense_warmup: optimiser steps before the dense loss counts.
        num_grid: side of the square grid that the map is pooled to before matching and dense
            projection; None keeps the map.
    """

    def __init__(self, backbone: dict, projector: dict, dense_projector: dict, queue: dict,
                 twin: dict, loss: dict, matcher: dict, dense_weight: float = 0.5,
                 dense_warmup: int = 1000, num_grid: int | None = None, **kwargs) -> None:
        super().__init__(backbone, **kwargs)
        self.projector = build(projector)
        self.dense_projector = build({**dense_projector, 'dense': True})
        self.twin = MomentumTwin({**self.encoder(), 'projector': self.projector,
                                  'dense_projector': self.dense_projector}, **twin)
        own_image, queue = queue.get('own_image', 'negative'), dict(queue)
        queue.pop('own_image', None)
        if own_image not in ('negative', 'masked'):
            raise ValueError(f"queue own_image={own_image!r}: expected 'negative' or 'masked'")
        if queue.get('size') == 0:
            raise ValueError('queue.size=0: DenseCL has no other negatives, and its loss would be '
                             '0; expected at least 1, better as many as half the images')
        self.mask_own_image = own_image == 'masked'
        self.queue = FeatureQueue(dim=projector['out_channels'], **queue)
        self.dense_queue = FeatureQueue(dim=dense_projector['out_channels'], **queue)
        self.contrast, self.matcher = build(loss), build(matcher)
        self.dense_weight, self.dense_warmup = dense_weight, dense_warmup
        self.num_grid = num_grid

    def project(self, net: nn.Module, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return vector (B, D), cells (B, D, N) and map (B, C, h, w) of images under ``net``."""
        features = self.encode(images, net)
        vector = net.projector(features.mean(dim=(2, 3)))
        if self.num_grid is not None:
            features = F.adaptive_avg_pool2d(features, self.num_grid)
        return vector, net.dense_projector(features).flatten(2), features

    def loss(self, inputs: list[Tensor], views: Views) -> dict[str, Tensor]:
        """Return ``loss_single`` and ``loss_dense`` (weighted) of two views (B, 3, H, W)."""
        if self.training and not torch.compiler.is_compiling():
            self.twin.follow()
        online = self.project(self, inputs[0])
        with torch.no_grad():
            target = self.twin(inputs[1], self.project)
        return self.objective(online, target, views.index)

    def objective(self, online: tuple[Tensor, Tensor, Tensor],
                  target: tuple[Tensor, Tensor, Tensor], index: Tensor) -> dict[str, Tensor]:
        """Return the losses from what :meth:`project` gave for both branches; push the keys.

        Args:
            online, target: vector (B, D), cells (B, D, N) and map of query and key.
            index: (B,) dataset index of each image.
        """
        query, query_cells, query_map = online
        key, key_cells, key_map = target
        matches = self.matcher(query_map.detach(), key_map)
        key = F.normalize(key.float())
        single = self.compare(query, key, self.queue, index)
        dense = self.compare(query_cells.transpose(1, 2).flatten(0, 1),
                             matches.take(key_cells).transpose(1, 2).flatten(0, 1),
                             self.dense_queue, index)
        if self.training:
            self.queue.push(key, index)
            self.dense_queue.push(F.normalize(key_cells.float().mean(dim=2)), index)
        weight = torch.where(self.twin.steps < self.dense_warmup, 0.0, self.dense_weight)
        return dict(loss_single=(1 - weight) * single, loss_dense=weight * dense)

    def compare(self, query: Tensor, positive: Tensor, queue: FeatureQueue,
                index: Tensor) -> Tensor:
        """Return the contrast of the rows (M, D) of images ``index`` (B,) with a queue, a scalar.

        M / B rows after one another are of one image. Unfilled slots never count; keys of a row's
        own image count unless they are masked.
        """
        return self.contrast(query, positive, queue.keys, unit_negatives=True,
                             query_index=index if self.mask_own_image else None,
                             negative_index=queue.index)
