"""Colourisation: which colours do the pixels of a grey image have?"""
from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from mmengine.dist import all_reduce
from torch import Tensor

from mmdense.gathering import share_of_rows
from mmdense.mistakes import WrongValue
from mmdense.registry import MODELS
from mmdense.structures import Views

from ..colour_bins import gamut_bins, rebalancing, smoothing, soft_shares
from .base import DenseSSL, build, map_channels

#: of the softmax whose mean is drawn, as published
ANNEALING = 0.38


@MODELS.register_module()
class Colorization(DenseSSL):
    """Predict the colours of a view from its lightness (Zhang et al., 1603.08511).

    The network sees L of Lab three times (``mmdense.ColourTarget``). A head makes Q logits of each
    cell of the map, one for each bin of a and b that holds colours; they are resized to the cells
    of the target (bilinear). The target is soft: shares of the nearest bins, by a lookup of the
    8-bit a and b. Cross-entropy of each cell, times the weight of its nearest bin: rare colours
    count more, by how often bins occurred in all steps so far, of all processes (in the state
    dict). No twin.

    The loss is a mean over cells, of the images of all processes that have colours; ``coloured``
    in the log is their share, ``accuracy`` the share of cells whose nearest bin is the likeliest.

    Args:
        head: of the map, (B, C, h, w) -> (B, Q, h, w); ``in_channels`` and ``out_channels`` may be
            left out.
        bin_size: side of a bin in a and b.
        neighbours, sigma: of the soft target.
        rebalance: share of an even distribution in the prior (lambda in the paper); 1 = all colours
            count alike.
        kwargs: what :class:`DenseSSL` takes.

    Raises:
        ValueError: ``rebalance`` outside (0, 1].
    """
    num_views = 1
    pictures = dict(colours=('decode_head', 'cell_head'))

    def __init__(self, backbone: dict, head: dict, bin_size: float = 10.0, neighbours: int = 5,
                 sigma: float = 5.0, rebalance: float = 0.5, **kwargs) -> None:
        super().__init__(backbone, **kwargs)
        if not 0 < rebalance <= 1:
            raise WrongValue(f'Colorization(rebalance={rebalance}): expected a share above 0 and '
                             'up to 1')
        channels, = map_channels(self, (self.out_index,))
        bins = gamut_bins(bin_size)
        index, shares = soft_shares(bin_size, neighbours, sigma)
        for name, table in (('bins', bins), ('index', index), ('shares', shares),
                            ('smooth', smoothing(bins))):
            self.register_buffer(name, table.clone(), persistent=False)
        self.cell_head = build({'in_channels': channels, **head, 'out_channels': len(bins),
                                'dense': True})
        self.rebalance = rebalance
        self.register_buffer('counts', torch.zeros(len(bins), dtype=torch.float64))

    def logits(self, images: Tensor) -> Tensor:
        """Return the logits (B, Q, h, w) of images (B, 3, H, W)."""
        return self.cell_head(self.encode(images))

    def colours(self, images: Tensor) -> Tensor:
        """Return a and b (B, 2, h, w) of images: means of the bins by an annealed softmax."""
        shares = (self.logits(images).float() / ANNEALING).softmax(1)
        return torch.einsum('bqhw,qc->bchw', shares, self.bins)

    def random_targets(self, inputs: list[Tensor], views: Views) -> Views:
        """Return views with random colours, at stride 4."""
        batch, _, height, width = inputs[0].shape
        chroma = torch.randint(64, 192, (batch, 2, height // 4, width // 4), dtype=torch.uint8,
                               device=inputs[0].device)
        return replace(views, targets=[chroma], masks=[torch.ones_like(views.index).bool()])

    def bare(self, inputs: list[Tensor]) -> list[Tensor]:
        """Return the logits."""
        return [self.logits(inputs[0])]

    def loss(self, inputs: list[Tensor], views: Views) -> dict[str, Tensor]:
        """Return ``loss_colour``, ``accuracy`` and ``coloured`` of one view (B, 3, H, W).

        Raises:
            ValueError: the views come without their colours.
        """
        if views.targets is None or views.masks is None:
            raise WrongValue('Colorization: the view has no colours to predict; expected '
                             'mmdense.ColourTarget at the end of the pipeline of its view')
        return self.objective(self.logits(inputs[0]), views.targets[0], views.masks[0])

    def objective(self, logits: Tensor, chroma: Tensor, coloured: Tensor) -> dict[str, Tensor]:
        """Return ``loss_colour``, ``accuracy`` and ``coloured``; count the colours.

        Args:
            logits: (B, Q, h, w).
            chroma: (B, 2, H', W') uint8, a + 128 and b + 128.
            coloured: (B,) bool, which images count.
        """
        logits = F.interpolate(logits.float(), chroma.shape[2:], mode='bilinear',
                               align_corners=False)
        place = 256 * chroma[:, 0].long() + chroma[:, 1]                           # (B, H', W')
        index, shares = self.index[place].long(), self.shares[place]
        nearest = index[..., 0]
        if self.training:
            self.count(nearest, coloured)
        weights = rebalancing(self.counts, self.smooth, self.rebalance).to(logits.dtype)
        log_shares = logits.log_softmax(1).gather(1, index.permute(0, 3, 1, 2))
        entropy = -(log_shares * shares.permute(0, 3, 1, 2)).sum(1)
        each = (weights[nearest] * entropy).mean((1, 2)).where(coloured, 0)
        number = coloured.sum().clamp_min(1)
        right = (logits.argmax(1) == nearest).float().mean((1, 2)).where(coloured, 0)
        return dict(loss_colour=each.sum() / number * share_of_rows(coloured),
                    accuracy=right.sum() / number, coloured=coloured.float().mean())

    @torch.no_grad()
    def count(self, nearest: Tensor, coloured: Tensor) -> None:
        """Add the bins (B, H', W') of coloured images to the counts, of all processes together."""
        found = torch.zeros_like(self.counts)
        cells = coloured[:, None, None].expand_as(nearest).to(found.dtype)
        found.index_add_(0, nearest.flatten(), cells.flatten())
        all_reduce(found)
        self.counts += found
