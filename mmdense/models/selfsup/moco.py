"""MoCo v2: one vector an image against a queue (Chen et al., 2020, arXiv 2003.04297)."""
from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from mmdense.registry import MODELS

from .base import encode
from .contrast import QueueContrast


@MODELS.register_module()
class MoCoV2(QueueContrast):
    """Momentum contrast of pooled vectors (1911.05722, eq. 1) with the heads of MoCo v2.

    Positive of a vector: the twin's vector of the other view. Negatives: a queue of the twin's
    vectors. The mean over rows, so with equal batches the mean over processes is the loss of the
    joined batch.

    Args:
        projector: head of the pooled map, (B, C) -> (B, D).
        queue, twin, loss: see :class:`QueueContrast`.
    """

    def __init__(self, backbone: dict, projector: dict, queue: dict, twin: dict, loss: dict,
                 **kwargs) -> None:
        super().__init__(backbone, dict(projector=projector), queue, twin, loss, **kwargs)

    def project(self, net: nn.Module, images: Tensor) -> tuple[Tensor]:
        """Return the vector (B, D) of images under ``net``, alone in a tuple."""
        return (net.projector(encode(net, images).mean(dim=(2, 3))),)

    def objective(self, online: tuple[Tensor], target: tuple[Tensor],
                  index: Tensor) -> dict[str, Tensor]:
        """Return ``loss_single`` of the branches' vectors (B, D); push the keys."""
        key = F.normalize(target[0].float())
        single = self.compare(online[0], key, self.queue, index)
        if self.training:
            self.queue.push(key, index)
        return dict(loss_single=single)
