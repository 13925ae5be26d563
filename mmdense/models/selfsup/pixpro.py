"""PixPro and PixContrast: cells of two views that show the same place (Xie et al., CVPR 2021)."""
from __future__ import annotations

from abc import abstractmethod

import torch.nn.functional as F
from torch import Tensor, nn

from mmdense.mistakes import WrongValue
from mmdense.registry import MODELS
from mmdense.structures import Views

from ..losses import consistency_of_pairs, pixel_contrast
from ..matching import GeometryMatcher
from ..necks import add_context
from .two_branch import TwoBranchSSL


class PixelSSL(TwoBranchSSL):
    """What both have in common (2011.10043): pairs of cells by their distance, and two directions.

    A pair are a cell of either view whose centres are nearer than ``threshold`` larger cell
    diagonals of the two views. Everything of the twin is without gradient. The loss is a mean over
    images and the sum of both directions, as published; an image without a pair counts as 0, and
    ``paired`` in the log is the share of images that have one. With equal batches the mean over
    processes is the loss of the joined batch.

    Args:
        projector: head of the map, (B, C, h, w) -> (B, D, h, w).
        twin: arguments of :class:`MomentumTwin`.
        threshold: as above.
        published: take distances in fractions of the image's axes, as the authors' program does;
            else in pixels, which differs for images that are not square.

    Raises:
        ValueError: a ``threshold`` not above 0, in cell diagonals.
    """
    heads = ('projector',)
    pictures = dict(places=())

    def __init__(self, backbone: dict, projector: dict, twin: dict, threshold: float = 0.7,
                 published: bool = False, **kwargs) -> None:
        super().__init__(backbone, twin, symmetric=True, projector={**projector, 'dense': True},
                         **kwargs)
        self.matcher = GeometryMatcher('distance', threshold, published)

    def project(self, net: nn.Module, images: Tensor) -> tuple[Tensor, ...]:
        """Return the projected cells (B, D, h, w) of images under ``net``."""
        return (net.projector(self.encode(images, net)),)

    def objective(self, online: tuple[Tensor, ...], target: tuple[Tensor, ...],
                  views: Views) -> dict[str, Tensor]:
        """Return ``loss_pixel`` of one direction, times the number of directions; ``paired``."""
        near = self.matcher.near(online[0], target[0], views)
        return dict(loss_pixel=len(self.ways) * self.compare(online[0], target[0], near),
                    paired=near.flatten(1).any(1).float().mean())

    @abstractmethod
    def compare(self, cells: Tensor, targets: Tensor, near: Tensor) -> Tensor:
        """Return the loss of one direction, a scalar.

        Args:
            cells, targets: (B, D, h, w).
            near: (B, N, M) bool, the pairs.
        """


@MODELS.register_module()
class PixPro(PixelSSL):
    """Pixel-to-propagation consistency: a propagated cell predicts the twin's near cells.

    No negatives. ``context`` is on the asking side alone; see
    :func:`~mmdense.models.losses.consistency_of_pairs` for the loss of a direction, -2 to 2.
    Optionally BYOL's loss of whole images beside it, of an own head on the map that is pooled
    last: ``instance_weight`` times -2 times the cosine, both directions.

    Args:
        context: the propagation, as published ``mmdense.PixelPropagation``.
        instance_projector: head of the map for whole images, None for none.
        instance_predictor: head behind it, of the asking side.
        instance_weight: of that loss.

    Raises:
        ValueError: one of the two instance heads without the other.
    """
    negative_losses = True
    heads = ('projector', 'instance_projector')
    own_heads = ('instance_predictor',)
    optional_heads = ('instance_projector', 'instance_predictor')

    def __init__(self, *args, context: dict, instance_projector: dict | None = None,
                 instance_predictor: dict | None = None, instance_weight: float = 1.0,
                 **kwargs) -> None:
        if (instance_projector is None) != (instance_predictor is None):
            raise WrongValue('PixPro: the loss of whole images needs both instance_projector and '
                             'instance_predictor; expected both or none')
        heads = {} if instance_projector is None else dict(
            instance_projector={**instance_projector, 'dense': True},
            instance_predictor={**instance_predictor, 'dense': True})
        super().__init__(*args, **heads, **kwargs)
        add_context(self, context, self.projector.out_channels)
        self.instance_weight = instance_weight

    def project(self, net: nn.Module, images: Tensor) -> tuple[Tensor, ...]:
        """Return the projected cells (B, D, h, w), and maybe those of the instance head."""
        features = self.encode(images, net)
        cells = (net.projector(features),)
        return cells if self.instance_projector is None else (
            *cells, net.instance_projector(features))

    def compare(self, cells: Tensor, targets: Tensor, near: Tensor) -> Tensor:
        """Return :func:`consistency_of_pairs` of the propagated cells."""
        return consistency_of_pairs(self.context(cells), targets, near)

    def objective(self, online: tuple[Tensor, ...], target: tuple[Tensor, ...],
                  views: Views) -> dict[str, Tensor]:
        """Return ``loss_pixel``, maybe ``loss_instance``, and ``paired``."""
        losses = super().objective(online, target, views)
        if self.instance_projector is not None:
            pred = self.instance_predictor(online[1]).mean((2, 3))
            cosine = F.cosine_similarity(pred.float(), target[1].mean((2, 3)).float())
            losses['loss_instance'] = -2 * len(self.ways) * self.instance_weight * cosine.mean()
        return losses

    def bare(self, inputs: list[Tensor]) -> list[Tensor]:
        """Return what the heads give of both views, the propagation's own layers with them."""
        rows = super().bare(inputs)
        if self.instance_projector is None:
            return [*rows, *map(self.context.value, rows)]
        return [*rows, *map(self.context.value, rows[::2]),
                *map(self.instance_predictor, rows[1::2])]


@MODELS.register_module()
class PixContrast(PixelSSL):
    """A cell and the twin's cells of the other view: near ones are positives, far ones negatives.

    See :func:`~mmdense.models.losses.pixel_contrast`.

    Args:
        temperature: T.
    """

    def __init__(self, *args, temperature: float = 0.3, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.temperature = temperature

    def compare(self, cells: Tensor, targets: Tensor, near: Tensor) -> Tensor:
        """Return :func:`pixel_contrast`."""
        return pixel_contrast(cells, targets, near, self.temperature)
