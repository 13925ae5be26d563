"""The figure of colourisation: what the network sees, what it paints, and what it was."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch

from mmdense.datasets.collate import collate_views
from mmdense.evaluation.features import evaluating
from mmdense.mistakes import WrongValue
from mmdense.models.selfsup.base import DenseSSL

from .figures import panels, save, show

#: images in one figure
COLUMNS = 6


def painted(light: np.ndarray, chroma: np.ndarray) -> np.ndarray:
    """Return RGB (H, W, 3) uint8 of L (H, W) uint8 of 8-bit Lab and a, b (2, h, w) around 0."""
    size = light.shape[::-1]
    ab = [cv2.resize(part.astype(np.float32), size) + 128 for part in chroma]
    lab = np.stack([light.astype(np.float32), *ab], 2)
    return cv2.cvtColor(np.rint(lab).clip(0, 255).astype(np.uint8), cv2.COLOR_LAB2RGB)


def draw_colours(model: DenseSSL, samples: Sequence[dict], path: Path) -> Path:
    """Draw views without colour, painted by the network, and in their own colours at its cells.

    Args:
        model: a method with ``colours``, such as :class:`mmdense.Colorization`.
        samples: as packed, with their colours.

    Raises:
        ValueError: the views have no colours.
    """
    if any('targets' not in sample['data_samples'] for sample in samples):
        raise WrongValue('the views have no colours to draw; expected mmdense.ColourTarget at the '
                         'end of the pipeline of the view')
    samples = samples[:COLUMNS]
    with evaluating(model), torch.no_grad():
        batch = model.data_preprocessor(collate_views(samples))
        said = model.colours(batch['inputs'][0]).cpu().numpy()
        truth = batch['data_samples'].targets[0].cpu().numpy().astype(np.float32) - 128
    figure, axes = panels(3, len(samples), (2.4 * len(samples), 7.6))
    for column, sample in enumerate(samples):
        light = sample['inputs'][0][0].numpy()
        for row, image in enumerate((np.stack([light] * 3, 2), painted(light, said[column]),
                                     painted(light, truth[column]))):
            show(axes[row, column], image, *light.shape, 'lanczos')
    for row, name in enumerate(('seen', 'painted', 'its own colours')):
        axes[row, 0].set_ylabel(name, fontsize=11)
    return save(figure, path)
