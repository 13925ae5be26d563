"""A linear classifier on frozen cells: how well the features separate the classes linearly."""
from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import skip_init

from mmdense.mistakes import WrongValue

from .baselines import upsample


def _check(features: Tensor, histograms: Tensor) -> None:
    if features.ndim != 2 or histograms.ndim != 2 or len(features) != len(histograms):
        raise WrongValue(f'linear probe: features {tuple(features.shape)} and histograms '
                         f'{tuple(histograms.shape)}; expected (N, D) and (N, C)')
    if not histograms.sum() > 0:
        raise WrongValue(f'linear probe: none of {len(histograms)} cells has a labelled pixel')
    if not features.isfinite().all():
        raise WrongValue('linear probe: the features hold nan or inf')


def _untrained(features: Tensor, num_classes: int, batch_norm: bool) -> nn.Sequential:
    """Return normalisation and a linear layer of zeros: nothing is drawn at random."""
    channels = features.shape[1]
    linear = skip_init(nn.Linear, channels, num_classes, device=features.device)
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    if not batch_norm:
        return nn.Sequential(nn.Identity(), linear)
    norm = nn.BatchNorm1d(channels, affine=False, device=features.device)
    variance, mean = torch.var_mean(features.double(), dim=0, correction=0)
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)
    return nn.Sequential(norm, linear)


def fit_linear_probe(features: Tensor, histograms: Tensor, batch_norm: bool = True,
                     steps: int = 500, batch_size: int = 1024, lr: float = 1e-2,
                     weight_decay: float = 1e-3, seed: int = 0) -> nn.Sequential:
    """Train a linear classifier of cells by cross entropy with the classes of their pixels.

    The target is soft: each labelled pixel of a cell counts once. This is the pixelwise cross
    entropy of a prediction that is constant in a cell; a hard majority would never show the
    probe a class that is smaller than a cell. AdamW from zeros, the rate falls as a cosine.

    ``batch_norm=True`` has the form of DINOv2's ``BNHead`` (2304.07193) and of VICRegL's probe
    (2210.01571): BatchNorm before the linear layer makes the result insensitive to the scale of
    the features. The statistics are those of all training cells, not of a batch, and there is no
    affine part, which the linear layer would swallow, and no dropout. ``batch_norm=False`` has
    the form of Leopart's (2204.13101) and MaskContrast's (2102.06191), which depends on the scale
    of the features and on the rate. All four train on augmented images; this one trains on
    cached cells of clean images, so its numbers cannot be compared with published ones.

    Args:
        features: (N, D) float cells of any scale.
        histograms: (N, C) pixel counts (or shares) of the classes; rows of zeros do not count.
        batch_norm: standardise each channel first.
        steps: optimiser steps; their number does not depend on N.
        batch_size: cells in a step.
        lr: highest learning rate, at the first step.
        weight_decay: of AdamW, on the weight only.
        seed: of the order of the cells; the global random state is neither read nor changed.

    Returns:
        Module from cells (N, D) to class scores (N, C) before the softmax, in eval mode.

    Raises:
        ValueError: shapes that do not fit, no labelled cell, features that are not finite.
    """
    _check(features, histograms)
    labelled = histograms.sum(1) > 0
    features, histograms = features[labelled].float(), histograms[labelled].float()
    probe = _untrained(features, histograms.shape[1], batch_norm).eval()
    with torch.no_grad():
        inputs = probe[0](features)          # fixed: once for all steps
    linear = probe[1]
    optimizer = torch.optim.AdamW([dict(params=[linear.weight], weight_decay=weight_decay),
                                   dict(params=[linear.bias], weight_decay=0.)], lr=lr)
    generator = torch.Generator().manual_seed(seed)
    batch_size = min(batch_size, len(inputs))
    order = torch.empty(0, dtype=torch.long)
    with torch.enable_grad():
        for step in range(steps):
            for group in optimizer.param_groups:
                group['lr'] = lr * 0.5 * (1 + math.cos(math.pi * step / steps))
            if len(order) < batch_size:
                order = torch.randperm(len(inputs), generator=generator)
            chosen, order = order[:batch_size].to(inputs.device), order[batch_size:]
            counts = histograms[chosen]
            loss = -(counts * F.log_softmax(linear(inputs[chosen]), 1)).sum() / counts.sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return probe.requires_grad_(False)


@torch.no_grad()
def predict(probe: nn.Module, feature_map: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the best class (H, W) int64 of a map, its scores upsampled bilinearly.

    Args:
        probe: of :func:`fit_linear_probe`.
        feature_map: (D, h, w).
        size: (H, W) of the labels.
    """
    h, w = feature_map.shape[1:]
    return upsample(probe(feature_map.flatten(1).t()), h, w, size)
