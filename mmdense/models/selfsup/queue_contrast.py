"""A queue of keys and the contrast with it: what every method of MoCo's kind has once or twice."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmdense.mistakes import WrongValue

from ..queue import FeatureQueue
from .base import build


class QueueContrast(nn.Module):
    """Contrast of rows with their positives and the keys of a queue, which then takes new keys.

    Args:
        loss: config of the contrast, such as ``mmdense.InfoNCE``.
        dim: length D of a key.
        size, init: of the :class:`FeatureQueue`.
        own_image: ``'negative'`` (published) keeps old keys of a row's own image as negatives,
            ``'masked'`` leaves them out.

    Raises:
        ValueError: another ``own_image``, or a queue of no slots.
    """

    def __init__(self, loss: dict, dim: int, size: int, init: str = 'random',
                 own_image: str = 'negative') -> None:
        super().__init__()
        if own_image not in ('negative', 'masked'):
            raise WrongValue(f"queue own_image={own_image!r}: expected 'negative' or 'masked'")
        if size == 0:
            raise WrongValue('queue.size=0: there would be no negatives, and the loss would be 0; '
                             'expected at least 1, better as many as half the images')
        self.queue, self.contrast = FeatureQueue(size, dim, init), build(loss)
        self.mask_own_image = own_image == 'masked'

    def forward(self, rows: Tensor, positives: Tensor, index: Tensor,
                keys: Tensor | None = None, valid: Tensor | None = None) -> Tensor:
        """Return the loss, a scalar; while training, push the keys.

        Unfilled slots never count; keys of a row's own image count unless they are masked. With
        ``init='filled'`` the loss is 0 until all slots have been written, without gradient.

        Args:
            rows: (N, D); N / B rows after one another are of one image.
            positives: (N, D).
            index: (B,) dataset index of each image.
            keys: (K, D), what the queue takes, K / B of each image after one another; by default
                the positives, one per image.
            valid: (N,) bool, which rows count; by default all.
        """
        loss = self.contrast(rows, positives, self.queue.keys, unit_negatives=True,
                             query_index=index if self.mask_own_image else None,
                             negative_index=self.queue.index, valid=valid)
        if self.queue.init == 'filled':
            loss = torch.where(self.queue.filled == len(self.queue), loss, 0 * loss)
        if self.training:
            keys = F.normalize((positives if keys is None else keys).float())
            self.queue.push(keys, index.repeat_interleave(len(keys) // len(index)))
        return loss
