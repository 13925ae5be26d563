"""Colours as classes: bins of a and b of Lab, soft shares of them, and how rare they are.

Zhang, Isola, Efros, *Colorful Image Colorization*, 1603.08511, sec. 2.2.
"""
from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import torch
from torch import Tensor


@lru_cache(maxsize=4)
def gamut_bins(size: float = 10.0) -> Tensor:
    """Return (Q, 2) float, the centres (a, b) of the bins that hold colours of 8 bits.

    Multiples of ``size``, in ascending order. Of colours every fourth level is looked at.
    """
    levels = np.arange(0, 256, 4, dtype=np.float32)
    levels[-1] = 255
    colours = np.stack(np.meshgrid(levels, levels, levels, indexing='ij'), -1).reshape(1, -1, 3)
    lab = cv2.cvtColor(colours / 255, cv2.COLOR_BGR2LAB)[0]
    return torch.from_numpy(np.unique(np.rint(lab[:, 1:] / size), axis=0) * size).float()


@lru_cache(maxsize=4)
def soft_shares(size: float = 10.0, neighbours: int = 5,
                sigma: float = 5.0) -> tuple[Tensor, Tensor]:
    """Return for each a and b of 8 bits its nearest bins, and their shares.

    Shares are proportional to ``exp(-d^2 / (2 sigma^2))``, d the distance in a and b.

    Returns:
        Numbers (65536, K) int32 of the bins, the nearest first, and shares (65536, K) float, for
        ``256 (a + 128) + b + 128``.
    """
    with torch.device('cpu'):               # what is kept is not of the device of the first user
        bins, values = gamut_bins(size), torch.arange(-128, 128)[:, None]
        a, b = ((values - one) ** 2 for one in bins.t())                        # (256, Q) each
        squares = (a[:, None] + b[None]).flatten(0, 1)
        order = torch.arange(len(bins)) / len(bins)                        # of equals the first
        index = (squares.double() + order).topk(min(neighbours, len(bins)), largest=False).indices
        return index.int(), (-squares.gather(1, index) / (2 * sigma ** 2)).softmax(1)


def smoothing(bins: Tensor, sigma: float = 5.0) -> Tensor:
    """Return (Q, Q) double: what a count in a bin (column) gives to each, by a Gaussian in a and b.

    Args:
        bins: (Q, 2), of :func:`gamut_bins`.
        sigma: of the Gaussian.
    """
    kernel = (-torch.cdist(bins, bins) ** 2 / (2 * sigma ** 2)).exp().double()
    return kernel / kernel.sum(0)


def rebalancing(counts: Tensor, smooth: Tensor, share: float = 0.5) -> Tensor:
    """Return weights (Q,) of bins: rare ones count more, and the mean over colours is 1.

    ``1 / ((1 - share) p + share / Q)``, p the counts as shares, smoothed.

    Args:
        counts: (Q,) double of at least 0, how often each bin occurs; nothing but zeros = all alike.
        smooth: (Q, Q), of :func:`smoothing`.
        share: of an even distribution that is mixed in; 1 makes all weights 1.
    """
    spread = smooth @ counts
    total = spread.sum()
    prior = torch.where(total > 0, spread / total.clamp_min(1e-12), 1 / len(counts))
    weights = 1 / ((1 - share) * prior + share / len(counts))
    return weights / (prior * weights).sum()
