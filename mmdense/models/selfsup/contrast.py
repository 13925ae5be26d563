"""What the methods share that contrast with a queue of a momentum twin's keys."""
from __future__ import annotations

import torch
from torch import Tensor, nn

from mmdense.structures import Views

from ..momentum import MomentumTwin
from ..queue import FeatureQueue
from .base import DenseSSL, build


class QueueContrast(DenseSSL):
    """Base of MoCo v2 and what is built on it: heads, a twin of all of it, a queue a head.

    View 1 is the query, view 2 the key (one direction). Everything of the twin is without
    gradient. A method says what it projects (:meth:`project`) and compares (:meth:`objective`).

    Args:
        heads: config of each projector, by the name of its module: ``projector`` gets the queue
            ``queue``, ``dense_projector`` gets ``dense_queue``.
        queue: ``size`` and ``init`` of each :class:`FeatureQueue`, and ``own_image``:
            ``'negative'`` (published) keeps old keys of a query's own image as negatives,
            ``'masked'`` leaves them out.
        twin: arguments of :class:`MomentumTwin`.
        loss: the contrast, with its temperature.

    Raises:
        ValueError: another ``own_image``, or what the twin and the queue raise.
    """

    def __init__(self, backbone: dict, heads: dict[str, dict], queue: dict, twin: dict,
                 loss: dict, **kwargs) -> None:
        super().__init__(backbone, **kwargs)
        for name, cfg in heads.items():
            self.add_module(name, build(cfg))
        self.twin = MomentumTwin({**self.encoder(),
                                  **{name: getattr(self, name) for name in heads}}, **twin)
        own_image, queue = queue.get('own_image', 'negative'), dict(queue)
        queue.pop('own_image', None)
        if own_image not in ('negative', 'masked'):
            raise ValueError(f"queue own_image={own_image!r}: expected 'negative' or 'masked'")
        self.mask_own_image = own_image == 'masked'
        for name, cfg in heads.items():
            self.add_module(name.replace('projector', 'queue'),
                            FeatureQueue(dim=cfg['out_channels'], **queue))
        self.contrast = build(loss)

    def project(self, net: nn.Module, images: Tensor) -> tuple[Tensor, ...]:
        """Return what is compared of images (B, 3, H, W) under ``net``, the method or its twin."""
        raise NotImplementedError

    def objective(self, online: tuple[Tensor, ...], target: tuple[Tensor, ...],
                  index: Tensor) -> dict[str, Tensor]:
        """Return the losses from what :meth:`project` gave for both branches; push the keys.

        Args:
            online, target: of query and key.
            index: (B,) dataset index of each image.
        """
        raise NotImplementedError

    def loss(self, inputs: list[Tensor], views: Views) -> dict[str, Tensor]:
        """Return the named losses of two views (B, 3, H, W)."""
        if self.training:
            self.twin.start()
        online = self.project(self, inputs[0])
        with torch.no_grad():
            target = self.twin(inputs[1], self.project)
        return self.objective(online, target, views.index)

    def compare(self, query: Tensor, positive: Tensor, queue: FeatureQueue,
                index: Tensor) -> Tensor:
        """Return the contrast of rows (M, D) of images ``index`` (M,) with a queue, a scalar.

        Unfilled slots never count; keys of a row's own image count unless they are masked.
        """
        return self.contrast(query, positive, queue.keys, unit_negatives=True,
                             query_index=index if self.mask_own_image else None,
                             negative_index=queue.index)
