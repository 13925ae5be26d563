"""The figure of combined blocks: how much of which block of the backbone each task reads."""
from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from torch import nn

from mmdense.models.combination import CombinedBackbone

from .figures import save


def draw_combinations(model: nn.Module, path: Path) -> list[Path]:
    """Draw the alphas of a model's combined blocks as a matrix; nothing where it has none.

    Rows are combinations (tasks), columns their blocks; zeros are left white.
    """
    found = {name: module for name, module in model.named_modules()
             if isinstance(module, CombinedBackbone)}
    if not found:
        return []
    blocks = list(dict.fromkeys(block for one in found.values() for block in one.blocks))
    values = np.full((len(found), len(blocks)), np.nan)
    for row, one in enumerate(found.values()):
        for block, value in zip(one.blocks, one.alpha.tolist(), strict=True):
            values[row, blocks.index(block)] = value
    figure = Figure(figsize=(1.2 + 0.9 * len(blocks), 1.2 + 0.6 * len(found)), layout='constrained')
    axis = figure.subplots()
    largest = max(np.nanmax(np.abs(values)), 1e-6)
    axis.imshow(np.where(values == 0, np.nan, values), cmap='RdBu_r', vmin=-largest, vmax=largest,
                aspect='auto')
    for (row, column), value in np.ndenumerate(values):
        if not np.isnan(value):
            axis.text(column, row, '0' if value == 0 else f'{value:.2f}', ha='center', va='center',
                      fontsize=9, color='white' if abs(value) > 0.6 * largest else 'black')
    axis.set_xticks(range(len(blocks)), blocks, rotation=45, ha='right')
    axis.set_yticks(range(len(found)), [name.removeprefix('combinations.') for name in found])
    axis.set_title('how much of which block is read', fontsize=10)
    return [save(figure, path)]
