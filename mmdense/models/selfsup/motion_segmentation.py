"""Motion segmentation: which pixels of one frame move out?"""
from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmdense.gathering import share_of_rows
from mmdense.mistakes import WrongValue
from mmdense.registry import MODELS
from mmdense.structures import Views

from .base import DenseSSL, map_channels


@MODELS.register_module()
class MotionSegmentation(DenseSSL):
    """Predict from one frame what moves by itself in the next (Pathak et al., 1612.06370).

    The view's regions are its motion mask (``tools/make_motion_masks.py``): 2 moves, 1 is still, 0
    is not known. A 1 x 1 convolution makes one logit of each cell of the map; logits are resized
    to the view (bilinear). Binary cross-entropy, a mean over the known pixels of all processes. No
    twin. In the log ``iou`` is that of the moving pixels of the batch, ``moving`` their share of
    the known ones.

    Args:
        kwargs: what :class:`DenseSSL` takes.
    """
    num_views = 1

    def __init__(self, backbone: dict, **kwargs) -> None:
        super().__init__(backbone, **kwargs)
        channels, = map_channels(self, (self.out_index,))
        self.classifier = nn.Conv2d(channels, 1, 1)

    def logits(self, images: Tensor) -> Tensor:
        """Return the logits (B, 1, h, w) of images (B, 3, H, W)."""
        return self.classifier(self.encode(images))

    def random_targets(self, inputs: list[Tensor], views: Views) -> Views:
        """Return views with random masks."""
        batch, _, height, width = inputs[0].shape
        mask = torch.randint(3, (batch, height, width), device=inputs[0].device)
        return replace(views, regions=[mask.int()], num_regions=3)

    def bare(self, inputs: list[Tensor]) -> list[Tensor]:
        """Return the logits."""
        return [self.logits(inputs[0])]

    def loss(self, inputs: list[Tensor], views: Views) -> dict[str, Tensor]:
        """Return ``loss_motion``, ``iou`` and ``moving`` of one view (B, 3, H, W).

        Raises:
            ValueError: the view comes without its mask.
        """
        if views.regions is None:
            raise WrongValue('MotionSegmentation: the view has no motion mask; expected '
                             'mmdense.LoadRegions in the pipeline, of a folder that '
                             'tools/make_motion_masks.py wrote')
        return self.objective(self.logits(inputs[0]), views.regions[0])

    def objective(self, logits: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Return ``loss_motion``, ``iou`` and ``moving``.

        Args:
            logits: (B, 1, h, w).
            mask: (B, H, W), 2 moves, 1 is still, 0 is not known.
        """
        logits = F.interpolate(logits.float(), mask.shape[1:], mode='bilinear',
                               align_corners=False)[:, 0]
        known, moving = mask > 0, mask > 1
        each = F.binary_cross_entropy_with_logits(logits, moving.float(), reduction='none')
        number = known.sum().clamp_min(1)
        said = (logits > 0) & known
        return dict(loss_motion=each.where(known, 0).sum() / number * share_of_rows(
                        known.flatten()),
                    iou=(said & moving).sum() / (said | moving).sum().clamp_min(1),
                    moving=moving.sum() / number)
