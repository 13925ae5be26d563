"""Patch-level rotation: how far was each patch of an image turned?"""
from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmdense.gathering import share_of_rows
from mmdense.mistakes import WrongValue
from mmdense.registry import MODELS
from mmdense.structures import Views

from ..confusion import Confusion
from ..region_pooling import cells_by_majority, masked_pool
from .base import DenseSSL, map_channels

ANGLES = ('0', '90', '180', '270')
#: what is predicted, see :class:`PatchRotation`
LEVELS = ('pixel', 'patch')


@MODELS.register_module()
class PatchRotation(DenseSSL):
    """Predict by how many quarters each patch was turned, of an encoder or encoder-decoder.

    The network sees one view of an image whose patches ``mmdense.PatchRotate`` has turned. A
    1 x 1 convolution makes four logits of each cell of the map. No positives, no negatives, no
    twin: cross-entropy with the angles.

    ``level='pixel'``: logits are resized to the view (bilinear) and compared at each pixel.
    ``level='patch'``: they are averaged over the cells of each patch, a cell belonging to the
    patch that most of its pixels are of, and compared once a patch. Pixels and patches without a
    label (margins, outside the grid) or without a cell count as nothing. The loss is a mean over
    what counts, of all processes together.

    ``accuracy`` in the log is that of the patches, by their averaged logits, and ``scored`` the
    share of patches that own a cell; ``mmdense.ConfusionHook`` logs the confusion matrix.

    Args:
        level: as above.
        kwargs: what :class:`DenseSSL` takes; ``decode_head`` is what is handed on.

    Raises:
        ValueError: another ``level``.
    """
    num_views = 1
    pictures = dict(patches=('decode_head', 'classifier'))

    def __init__(self, backbone: dict, level: str = 'pixel', **kwargs) -> None:
        super().__init__(backbone, **kwargs)
        if level not in LEVELS:
            raise WrongValue(f'PatchRotation(level={level!r}): expected one of {LEVELS}')
        self.level = level
        channels, = map_channels(self, (self.out_index,))
        self.classifier = nn.Conv2d(channels, len(ANGLES), 1)
        self.confusion = Confusion(ANGLES)

    def logits(self, images: Tensor) -> Tensor:
        """Return the logits (B, 4, h, w) of images (B, 3, H, W)."""
        return self.classifier(self.encode(images))

    def random_targets(self, inputs: list[Tensor], views: Views) -> Views:
        """Return views of 4 x 4 patches with random angles."""
        image = inputs[0]
        numbers = torch.arange(1, 17, device=image.device, dtype=torch.float32).view(1, 1, 4, 4)
        mask = F.interpolate(numbers, image.shape[2:]).squeeze(1).to(torch.uint8)
        turns = torch.randint(4, (len(image), 4, 4), device=image.device)
        return replace(views, targets=[turns], masks=[mask.expand(len(image), -1, -1)])

    def bare(self, inputs: list[Tensor]) -> list[Tensor]:
        """Return the logits of the view."""
        return [self.logits(inputs[0])]

    def pool(self, logits: Tensor, mask: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Return the logits (B, n, 4) of patches, and which of them own a cell (B, n).

        Args:
            logits: (B, 4, h, w).
            mask: (B, H, W), the number of each pixel's patch from 1, or 0.
            count: n, how many patches an image has.
        """
        cells = cells_by_majority(mask, *logits.shape[2:], highest=count)
        ids = torch.arange(1, count + 1, device=logits.device).expand(len(mask), -1)
        pooled, area = masked_pool(logits, cells, ids)
        return pooled, area > 0

    def loss(self, inputs: list[Tensor], views: Views) -> dict[str, Tensor]:
        """Return ``loss_rotation``, ``accuracy`` and ``scored`` of one view (B, 3, H, W).

        Raises:
            ValueError: the views come without their angles.
        """
        if views.targets is None or views.masks is None:
            raise WrongValue('PatchRotation: the view has no angles; expected mmdense.PatchRotate '
                             'at the end of the pipeline of its view')
        return self.objective(self.logits(inputs[0]), views.targets[0].long(), views.masks[0])

    def objective(self, logits: Tensor, turns: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Return ``loss_rotation``, ``accuracy`` and ``scored``.

        Args:
            logits: (B, 4, h, w).
            turns: (B, rows, columns) int64, quarter turns of each patch.
            mask: (B, H, W), the number of each pixel's patch from 1, or 0.
        """
        turns, logits = turns.flatten(1), logits.float()
        pooled, scored = self.pool(logits, mask, turns.shape[1])
        if self.level == 'patch':
            values, truth, valid = pooled.flatten(0, 1), turns.flatten(), scored.flatten()
        else:
            values = F.interpolate(logits, mask.shape[1:], mode='bilinear', align_corners=False)
            values, numbers = values.permute(0, 2, 3, 1).flatten(0, 2), mask.flatten(1).long()
            truth = turns.gather(1, (numbers - 1).clamp_min(0)).flatten()
            valid = numbers.flatten() > 0
        losses = F.cross_entropy(values, truth, reduction='none').where(valid, 0)
        loss = losses.sum() / valid.sum().clamp_min(1) * share_of_rows(valid)
        right = self.confusion.add(turns.flatten(), pooled.flatten(0, 1).argmax(1),
                                   scored.flatten())
        return dict(loss_rotation=loss, accuracy=right, scored=scored.float().mean())
