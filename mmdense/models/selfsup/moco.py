"""MoCo v2: contrast of whole images with a queue (Chen et al., arXiv 2003.04297)."""
from __future__ import annotations

from torch import Tensor, nn

from mmdense.registry import MODELS
from mmdense.structures import Views

from .queue_contrast import QueueContrast
from .two_branch import TwoBranchSSL


@MODELS.register_module()
class MoCo(TwoBranchSSL):
    """InfoNCE of pooled vectors: which of many keys is the other view of my image?

    Positive of a vector: the twin's vector of the other view. Negatives: a queue of the twin's
    vectors. View 1 asks, view 2 answers. Everything of the twin is without gradient. The loss is a
    mean over images, so with equal batches the mean over processes is that of the joined batch.

    Args:
        projector: head of the pooled map, (B, C) -> (B, D).
        queue: ``size``, ``init`` and ``own_image`` of :class:`QueueContrast`.
        twin: arguments of :class:`MomentumTwin`.
        loss: the contrast, with its temperature.
    """
    heads = ('projector',)

    @classmethod
    def queue_keys(cls, model: dict) -> dict[str, int]:
        """Return one key an image, of each queue that ``queue`` describes."""
        return dict(queue=1)

    def __init__(self, backbone: dict, queue: dict, twin: dict, loss: dict, **kwargs) -> None:
        super().__init__(backbone, twin, **kwargs)
        self.contrast = QueueContrast(loss, self.projector.out_channels, **queue)

    def project(self, net: nn.Module, images: Tensor) -> tuple[Tensor, ...]:
        """Return the vector (B, D) of images under ``net``."""
        return (net.projector(self.encode(images, net).mean(dim=(2, 3))),)

    def loss_map(self, images: Tensor) -> None:
        """Return None: the loss compares whole images."""

    def objective(self, online: tuple[Tensor, ...], target: tuple[Tensor, ...],
                  views: Views) -> dict[str, Tensor]:
        """Return ``loss_image``; push the keys."""
        return dict(loss_image=self.contrast(online[0], target[0], views.index))
