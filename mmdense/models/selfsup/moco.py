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

    With a ``decode_head`` it is EDMoCo: the decoder's map is pooled. The encoder's own loss can be
    kept beside it (``encoder_projector``), with a queue of its own.

    Args:
        projector: head of the pooled map, (B, C) -> (B, D).
        queue: ``size``, ``init`` and ``own_image`` of :class:`QueueContrast`.
        twin: arguments of :class:`MomentumTwin`.
        loss: the contrast, with its temperature.
        encoder_projector: head of the encoder's own pooled map, beside a decode head's; None
            leaves ``loss_encoder`` out.
    """
    heads = ('projector', 'encoder_projector')
    optional_heads = encoder_heads = ('encoder_projector',)

    @classmethod
    def queue_keys(cls, model: dict) -> dict[str, int]:
        """Return one key an image, of each queue that ``queue`` describes."""
        return dict(queue=1)

    def __init__(self, backbone: dict, queue: dict, twin: dict, loss: dict, **kwargs) -> None:
        super().__init__(backbone, twin, **kwargs)
        self.contrast = QueueContrast(loss, self.projector.out_channels, **queue)
        self.encoder_contrast = QueueContrast(
            loss, self.encoder_projector.out_channels, **queue) if self.under else None

    def project(self, net: nn.Module, images: Tensor) -> tuple[Tensor, ...]:
        """Return the vector (B, D) of images under ``net``, and maybe the encoder's own."""
        whole, _, *own = (features.mean(dim=(2, 3)) for features in self.encode_both(images, net))
        return net.projector(whole), *(net.encoder_projector(vectors) for vectors in own)

    def loss_map(self, images: Tensor) -> None:
        """Return None: the loss compares whole images."""

    def objective(self, online: tuple[Tensor, ...], target: tuple[Tensor, ...],
                  views: Views) -> dict[str, Tensor]:
        """Return ``loss_image``, maybe ``loss_encoder``, weighted; push the keys."""
        losses = dict(loss_image=self.contrast(online[0], target[0], views.index))
        return losses if self.encoder_contrast is None else self.beside_encoder(
            losses, self.encoder_contrast(online[1], target[1], views.index))
