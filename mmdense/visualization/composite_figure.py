"""The figure of composites: views, what they are pasted onto, and the cells that are foreground."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.patches import Rectangle

from mmdense.datasets.collate import collate_views
from mmdense.evaluation.features import evaluating
from mmdense.mistakes import WrongValue
from mmdense.models.composite import mask_at_cells
from mmdense.models.selfsup.base import DenseSSL
from mmdense.random_states import kept_random_state

from .figures import panels, save, show, shown

FRONT, BEHIND = '#ff00c8', '#00d0ff'
#: images in one figure
COLUMNS = 6


def rectangle_of(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Return left, top, width and height of what is True in a mask (H, W)."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return columns[0], rows[0], columns[-1] + 1 - columns[0], rows[-1] + 1 - rows[0]


def cell_middles(cells: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return (n, 2), the pixels (x, y) of the True cells (h, w) in a view of ``size`` (H, W)."""
    rows, columns = np.nonzero(cells)
    scale = np.array([size[1] / cells.shape[1], size[0] / cells.shape[0]])
    return (np.stack([columns, rows], 1) + 0.5) * scale


def draw_composites(model: DenseSSL, samples: Sequence[dict], path: Path) -> Path:
    """Draw both views of some images, and what the networks see: composites and their cells.

    In eval mode; the same draw every time, and no trace of it in modes and random states.

    Args:
        model: a method with ``compose``, such as :class:`mmdense.CP2`.
        samples: as packed, of as many pixels each.

    Raises:
        ValueError: fewer than three images.
    """
    if len(samples) < 3:
        raise WrongValue(f'composites of {len(samples)} image(s): each is pasted onto two others; '
                         'expected at least 3 images (--num, --images)')
    batch = collate_views(samples[:COLUMNS])
    views = batch['inputs']
    with evaluating(model), torch.no_grad(), kept_random_state():
        torch.manual_seed(0)
        pasted, geometry = model.compose(views, batch['data_samples'])
        inputs = model.data_preprocessor(batch)['inputs']
        sizes = [tuple(model.loss_map(view).shape[2:]) for view in inputs]
    height, width = views[0].shape[2:]
    figure, axes = panels(4, len(samples[:COLUMNS]),
                          (2.2 * len(samples[:COLUMNS]), 4 * (2.2 * height / width) + 0.8))
    for view, size in enumerate(sizes):
        masks = geometry.masks[view]
        cells = mask_at_cells(masks, *size)
        axes[2 * view, 0].set_ylabel(f'view {view + 1}', fontsize=11)
        axes[2 * view + 1, 0].set_ylabel(f'pasted: {size[0]} x {size[1]} cells', fontsize=11)
        for column in range(len(masks)):
            for row, images in ((2 * view, views[view]), (2 * view + 1, pasted[view])):
                image = shown(images[column].permute(1, 2, 0).numpy())
                show(axes[row, column], image, *image.shape[:2], 'lanczos')
                left, top, across, down = rectangle_of(masks[column].numpy())
                axes[row, column].add_patch(Rectangle(
                    (left, top), across, down, fill=False, edgecolor=FRONT, linewidth=2))
            for chosen, colour in ((cells[column], FRONT), (~cells[column], BEHIND)):
                points = cell_middles(chosen.numpy(), image.shape[:2])
                axes[2 * view + 1, column].scatter(*points.T, s=9, color=colour,
                                                   edgecolors='white', linewidths=0.4)
    figure.suptitle('frame: what is pasted; dots: cells of the foreground (pink) and of the '
                    'background (blue)', fontsize=11)
    return save(figure, path)
