"""Relative position: where does one patch of an image lie beside another?"""
from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from mmdense.mistakes import WrongValue
from mmdense.registry import MODELS
from mmdense.structures import Views

from ..confusion import Confusion
from .base import DenseSSL, build, map_channels

#: classes of mmdense.RelativePatches, by where the second patch lies
NAMES = ('NW', 'N', 'NE', 'W', 'E', 'SW', 'S', 'SE')


@MODELS.register_module()
class RelativePosition(DenseSSL):
    """Predict which of eight neighbours the second patch is (Doersch et al., 1505.05192).

    Both patches pass the same network; their pooled maps, one behind the other, go through a head
    to eight logits. No twin; cross-entropy, a mean over images, so with equal batches the mean
    over processes is the loss of the joined batch. ``accuracy`` in the log is the share that is
    right, ``enlarged`` the share of images that were too small for a 3 x 3 grid;
    ``mmdense.ConfusionHook`` logs the confusion matrix.

    Args:
        head: of both pooled maps, (B, 2 C) -> (B, 8); ``in_channels`` and ``out_channels`` may be
            left out.
        kwargs: what :class:`DenseSSL` takes.
    """
    num_views = 2

    def __init__(self, backbone: dict, head: dict, **kwargs) -> None:
        super().__init__(backbone, **kwargs)
        channels, = map_channels(self, (self.out_index,))
        self.pair_head = build({'in_channels': 2 * channels, **head, 'out_channels': len(NAMES)})
        if self.pair_head.in_channels != 2 * channels:
            raise WrongValue(f'RelativePosition: head.in_channels={self.pair_head.in_channels}, '
                             f'but the maps of two patches have {2 * channels} channels; expected '
                             'that, or leave it out')
        self.confusion = Confusion(NAMES)

    def loss_map(self, images: Tensor) -> None:
        """Return None: whole patches are compared."""

    def logits(self, inputs: list[Tensor]) -> Tensor:
        """Return the logits (B, 8) of two patches (B, 3, H, W)."""
        pooled = [self.encode(images).mean((2, 3)) for images in inputs]
        return self.pair_head(torch.cat(pooled, 1))

    def random_targets(self, inputs: list[Tensor], views: Views) -> Views:
        """Return views with random places."""
        places = torch.randint(len(NAMES), (len(inputs[1]),), device=inputs[1].device)
        return replace(views, targets=[None, places], masks=[None, torch.zeros_like(places).bool()])

    def bare(self, inputs: list[Tensor]) -> list[Tensor]:
        """Return the logits."""
        return [self.logits(inputs)]

    def loss(self, inputs: list[Tensor], views: Views) -> dict[str, Tensor]:
        """Return ``loss_position``, ``accuracy`` and ``enlarged`` of two patches (B, 3, H, W).

        Raises:
            ValueError: the views come without their places.
        """
        if views.targets is None or views.targets[1] is None:
            raise WrongValue('RelativePosition: the views have no places; expected '
                             'mmdense.RelativePatches in the pipeline, not mmdense.MultiView')
        logits, places = self.logits(inputs).float(), views.targets[1].long()
        right = self.confusion.add(places, logits.argmax(1), torch.ones_like(places).bool())
        return dict(loss_position=F.cross_entropy(logits, places), accuracy=right,
                    enlarged=views.masks[1].float().mean())
