"""The figure of a context neck: which cells change what it makes of one cell; codewords."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from matplotlib import colormaps
from torch import Tensor, nn

from mmdense.datasets.collate import collate_views
from mmdense.evaluation.features import evaluating
from mmdense.models.selfsup.base import DenseSSL

from .figures import panels, save, show, shown


def influence(neck: nn.Module, cells: Tensor, row: int, column: int) -> Tensor:
    """Return (h, w), how much each cell of a map (1, D, h, w) moves what a neck makes of one cell.

    The length of the gradient of that cell's own direction, ``d (y . y / |y|) / d x``; over the
    largest of all, so that 1 is the cell that counts most.
    """
    cells = cells.detach().requires_grad_()
    with torch.enable_grad():
        out = neck(cells)[0, :, row, column]
        out = out @ (out / out.norm().clamp_min(1e-12)).detach()
        lengths, = torch.autograd.grad(out, cells)
    lengths = lengths[0].norm(dim=0)
    return lengths / lengths.max().clamp_min(1e-12)


def draw_context(model: DenseSSL, sample: dict, path: Path) -> Path:
    """Draw the first view, and how much each cell counts for its middle cell behind the neck.

    Of a neck with codewords also the codeword of each cell, and which of them stand together.

    Args:
        model: a method with a ``context``.
        sample: as packed.
    """
    with evaluating(model), torch.no_grad():
        batch = model.data_preprocessor(collate_views([sample]))
        made = model.project(model, batch['inputs'][0])
        cells = next(part for part in made if part.ndim == 4)         # what the neck is given
        row, column = cells.shape[2] // 2, cells.shape[3] // 2
        counts = influence(model.context, cells, row, column).cpu().numpy()
        words = model.context.words(cells)[0].argmax(0).cpu().numpy() \
            if hasattr(model.context, 'words') else None
        table = None if words is None else model.context.expected().cpu().numpy()
    image = shown(sample['inputs'][0].permute(1, 2, 0).numpy())
    height, width = image.shape[:2]
    wide = 2 if words is None else 4
    figure, axes = panels(1, wide, (4.2 * wide, 4.2 * height / width + 0.6))
    show(axes[0, 0], image, height, width, 'lanczos')
    heat = show(axes[0, 1], counts, height, width, cmap='magma', vmin=0, vmax=1)
    place = ((column + 0.5) * width / counts.shape[1], (row + 0.5) * height / counts.shape[0])
    for axis in axes[0, :2]:
        axis.plot(*place, marker='+', markersize=15, markeredgewidth=4.5, color='white')
        axis.plot(*place, marker='+', markersize=14, markeredgewidth=2, color='#00b4d8')
    axes[0, 0].set_title(f'view 1: {counts.shape[0]} x {counts.shape[1]} cells', fontsize=10)
    axes[0, 1].set_title('how much a cell counts for the marked one', fontsize=10)
    figure.colorbar(heat, ax=axes[0, 1], shrink=0.8)
    if words is not None:
        colours = colormaps['hsv'](np.linspace(0, 1, len(table), endpoint=False))[..., :3]
        show(axes[0, 2], colours[words], height, width)
        axes[0, 2].set_title(f'codewords of the cells: {len(np.unique(words))} of {len(table)}',
                             fontsize=10)
        order = np.argsort(-np.bincount(words.ravel(), minlength=len(table)), kind='stable')
        chances = axes[0, 3].imshow(table[order][:, order], cmap='magma', vmin=0)
        axes[0, 3].set_title('chance of a codeword (column) around another (row)\n'
                             'by how often they are in this view', fontsize=10)
        figure.colorbar(chances, ax=axes[0, 3], shrink=0.8)
    figure.suptitle(type(model.context).__name__, fontsize=11)
    return save(figure, path)
