"""The figure of places: which cells of two views a method takes for the same place."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.patches import Rectangle

from mmdense.datasets.collate import collate_views
from mmdense.evaluation.features import evaluating
from mmdense.models.matching import draw_cells
from mmdense.models.selfsup.base import DenseSSL
from mmdense.random_states import kept_random_state

from .figures import panels, save, show, shown

#: pairs in one figure, so that their colours can be told apart
PAIRS = 12


def cell_corners(side: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """Return (h w, 2), the upper left corners (x, y) of the cells of a view of ``size`` (H, W)."""
    rows, columns = np.divmod(np.arange(side[0] * side[1]), side[1])
    return np.stack([columns * size[1] / side[1], rows * size[0] / side[0]], 1)


def draw_places(model: DenseSSL, sample: dict, path: Path) -> Path:
    """Draw some cells of the first view and their partners in the second, in the same colours.

    Args:
        model: a method with a ``matcher`` that goes by geometry.
        sample: as packed, of two views or more.
    """
    with evaluating(model), torch.no_grad(), kept_random_state():
        torch.manual_seed(max(sample['data_samples'].index, 0))
        batch = model.data_preprocessor(collate_views([sample]))
        views = batch['data_samples'].take((0, 1))
        maps = [model.loss_map(view) for view in batch['inputs'][:2]]
        found = model.matcher(*maps, views)
        drawn = draw_cells(found.valid, PAIRS)
        chosen = found.choose(drawn)
    images = [shown(view.permute(1, 2, 0).numpy()) for view in sample['inputs'][:2]]
    sides = [tuple(one.shape[2:]) for one in maps]
    corners = [torch.from_numpy(cell_corners(side, image.shape[:2])).float()
               for side, image in zip(sides, images, strict=True)]
    partners = chosen.take(corners[1].t()[None].to(drawn.device))[0].t().cpu()
    valid = chosen.valid[0].cpu()
    ends = corners[0][drawn[0].cpu()][valid].numpy(), partners[valid].numpy()
    figure, axes = panels(1, 2, (8.4, 4.2 * images[0].shape[0] / images[0].shape[1] + 0.5))
    colours = colormaps['hsv'](np.linspace(0, 1, int(valid.sum()), endpoint=False))
    for view, (axis, image, side, places) in enumerate(
            zip(axes[0], images, sides, ends, strict=True)):
        height, width = image.shape[:2]
        show(axis, image, height, width, 'lanczos')
        for number, (place, colour) in enumerate(zip(places, colours, strict=True), 1):
            for line, wide in (('black', 3.4), (colour, 2)):
                axis.add_patch(Rectangle(place, width / side[1], height / side[0], fill=False,
                                         edgecolor=line, linewidth=wide))
            axis.text(*(place + [width / side[1] / 2, height / side[0] / 2]), number, fontsize=9,
                      ha='center', va='center', color='white', fontweight='bold',
                      bbox=dict(boxstyle='round,pad=0.1', facecolor='black', alpha=0.5))
        axis.set_title(f'view {view + 1}' + (', mirrored' if views.flips[view, 0] else '')
                       + f': {side[0]} x {side[1]} cells', fontsize=10)
    share = found.valid.float().mean().item()
    figure.suptitle(f'{100 * share:.0f} % of the cells of view 1 have a partner in view 2; '
                    f'{int(valid.sum())} pairs are drawn', fontsize=11)
    return save(figure, path)
