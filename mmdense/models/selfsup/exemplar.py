"""Exemplar: a strongly changed copy of a patch is nearer to it than other patches are."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from mmengine.dist import get_rank
from torch import Tensor

from mmdense.gathering import gather_with_gradient
from mmdense.mistakes import WrongValue
from mmdense.registry import MODELS
from mmdense.structures import Views

from .base import DenseSSL, build, lacks_channels, map_channels

#: which other patches push away, see :class:`Exemplar`
NEGATIVES = ('one', 'all', 'hardest')


def triplet_hinge(anchors: Tensor, positives: Tensor, others: Tensor, own: Tensor,
                  negatives: str, margin: float) -> Tensor:
    """Return the hinge of each anchor (N,), ``max(D(a, p) - D(a, n) + M, 0)``, D = 1 - cosine.

    Of several negatives the mean over them; without any 0. In float32, also under autocast.

    Args:
        anchors, positives: (N, D).
        others: (K, D), the patches of which some are negatives.
        own: (N,) int64, which of the others is the anchor's own positive: no negative.
        negatives: ``'one'``: the one after its own, around; ``'all'``; ``'hardest'``: the nearest.
        margin: M.
    """
    with torch.autocast(anchors.device.type, enabled=False):
        anchors, positives, others = (F.normalize(rows.float()) for rows in (anchors, positives,
                                                                             others))
        near = (anchors * positives).sum(1)
        if len(others) < 2:
            return 0 * near
        if negatives == 'one':
            far = (anchors * others[(own + 1) % len(others)]).sum(1)
            return (far - near + margin).clamp_min(0)
        cosines = anchors @ others.t()
        mine = F.one_hot(own, len(others)).bool()
        if negatives == 'hardest':
            return (cosines.masked_fill(mine, -2).amax(1) - near + margin).clamp_min(0)
        hinges = (cosines - near[:, None] + margin).clamp_min(0).masked_fill(mine, 0)
        return hinges.sum(1) / (len(others) - 1)


@MODELS.register_module()
class Exemplar(DenseSSL):
    """Triplets of strongly changed copies of patches (1406.6909; as a hinge 1708.07860, sec. 3.3).

    Two copies of a patch, each changed by itself; every copy is once the anchor, and the other its
    positive. Negatives are the other copies of *other* images that answer, of all processes; see
    :func:`triplet_hinge`. No twin: all copies have a gradient. The loss is a mean over images and
    both directions, so with equal batches the mean over processes is the loss of the joined
    batch. ``nearest`` in the log is the share of anchors whose positive is nearer than all others.

    Args:
        projector: head of the pooled map, (B, C) -> (B, D).
        negatives: ``'one'``, ``'all'`` or ``'hardest'``. The paper does not
            say how they are chosen; ours are of the batch.
        margin: M, in cosine distance.
        kwargs: what :class:`DenseSSL` takes.

    Raises:
        ValueError: other ``negatives``, or a ``margin`` not above 0.
    """
    num_views = 2
    contrasts_batch = True

    def __init__(self, backbone: dict, projector: dict, negatives: str = 'one',
                 margin: float = 0.5, **kwargs) -> None:
        super().__init__(backbone, **kwargs)
        if negatives not in NEGATIVES or not margin > 0:
            raise WrongValue(f'Exemplar(negatives={negatives!r}, margin={margin}): expected one of '
                             f'{NEGATIVES} and a margin above 0')
        if lacks_channels(projector):
            projector = {**projector, 'in_channels': map_channels(self, (self.out_index,))[0]}
        self.projector = build(projector)
        self.negatives, self.margin = negatives, margin

    def loss_map(self, images: Tensor) -> None:
        """Return None: whole patches are compared."""

    def bare(self, inputs: list[Tensor]) -> list[Tensor]:
        """Return the vectors (B, D) of both copies."""
        return [self.projector(self.encode(images).mean((2, 3))) for images in inputs]

    def loss(self, inputs: list[Tensor], views: Views) -> dict[str, Tensor]:
        """Return ``loss_exemplar`` and ``nearest`` of two copies (B, 3, H, W)."""
        return self.objective(*self.bare(inputs))

    def objective(self, first: Tensor, second: Tensor) -> dict[str, Tensor]:
        """Return ``loss_exemplar`` and ``nearest`` of the vectors (B, D) of both copies."""
        own = torch.arange(len(first), device=first.device) + get_rank() * len(first)
        hinges, nearest = [], []
        for anchors, answers in ((first, second), (second, first)):
            others = gather_with_gradient(answers)
            hinges.append(triplet_hinge(anchors, answers, others, own, self.negatives,
                                        self.margin).mean())
            with torch.no_grad():
                cosines = F.normalize(anchors.float()) @ F.normalize(others.float()).t()
                nearest.append((cosines.argmax(1) == own).float().mean())
        return dict(loss_exemplar=sum(hinges) / 2, nearest=sum(nearest) / 2)
