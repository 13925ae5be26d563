"""The figure of regions: the image, its two views, what their cells belong to, the ids drawn."""
from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerTuple
from matplotlib.patches import Patch, Rectangle

from mmdense.models.selfsup.base import DenseSSL

from .figures import panels, save, show, shown
from .regions import SeenRegions, see_regions, stretch

#: of the two views' boxes and frames; no region has these
VIEWS = '#ff00c8', '#00d0ff'
REGIONS = ('#e6194b', '#3cb44b', '#ffe119', '#4363d8', '#f58231', '#911eb4', '#bfef45', '#469990',
           '#fabed4', '#9a6324', '#dcbeff', '#800000', '#aaffc3', '#808000', '#000075', '#ffd8b1')
STRIPES, NOBODY = ('#b4b4b4', '#7d7d7d'), '#202020'
#: pixels of a panel's longer side, at least
PANEL = 320
ROWS, COLUMNS = 16, 3


def borders(regions: np.ndarray) -> np.ndarray:
    """Return (n, 2, 2), ends (x, y) of the edges between pixels of different regions (H, W)."""
    lines = []
    for axis in (0, 1):
        first, second = ((regions[:-1], regions[1:]) if axis == 0
                         else (regions[:, :-1], regions[:, 1:]))
        rows, columns = np.nonzero(first != second)
        start = np.stack([columns, rows + 1] if axis == 0 else [columns + 1, rows], 1)
        lines.append(np.stack([start, start + ([1, 0] if axis == 0 else [0, 1])], 1))
    return np.concatenate(lines)


def ink(colour: np.ndarray) -> str:
    """Return black or white, whichever is read better on (r, g, b)."""
    return 'black' if colour @ [0.299, 0.587, 0.114] > 0.5 else 'white'


def colours_of(shared: Sequence[int]) -> dict[int, np.ndarray]:
    """Return (r, g, b) in [0, 1] of each region; from the 33rd on those of the first again."""
    colours = [np.array(to_rgb(name)) for name in REGIONS]
    # light ones darker, dark ones lighter
    colours += [colour * 0.55 if ink(colour) == 'black' else 0.5 + colour / 2
                for colour in colours]
    return {region: colours[place % len(colours)] for place, region in enumerate(shared)}


def overlay(regions: np.ndarray, colours: dict[int, np.ndarray], opacity: float) -> np.ndarray:
    """Return regions (H, W) as (H, W, 4): their colours, else grey stripes, and 0 nearly black."""
    height, width = regions.shape
    period = max(4, max(regions.shape) // 24)
    slant = np.add.outer(np.arange(height), np.arange(width)) % period < period // 2
    drawn = np.where(slant[..., None], *(np.array(to_rgb(stripe)) for stripe in STRIPES))
    drawn = np.concatenate([drawn, np.full((height, width, 1), opacity)], 2)
    for region, colour in colours.items():
        drawn[regions == region, :3] = colour
    drawn[regions == 0, :3] = to_rgb(NOBODY)
    return drawn


def magnified(regions: np.ndarray) -> np.ndarray:
    """Return regions (H, W) a whole number of times as large, so that stripes look like ones."""
    times = -(-PANEL // max(regions.shape))
    return regions.repeat(times, 0).repeat(times, 1)


def inner_cell(mask: np.ndarray) -> tuple[int, int]:
    """Return (row, column) of the cell of a mask (h, w) that is farthest from its border."""
    depth = cv2.distanceTransform(np.pad(mask.astype(np.uint8), 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
    return tuple(int(place) for place in np.unravel_index(depth.argmax(), depth.shape))


def _lines(axis: Axes, lines: np.ndarray, width: float) -> None:
    for colour, wide in (('black', width + 1.2), ('white', width)):
        axis.add_collection(LineCollection(lines, colors=colour, linewidths=wide))


def draw_source(axis: Axes, image: np.ndarray, seen: SeenRegions) -> None:
    """Draw the image (H, W, 3) with the borders of its regions and the boxes of both views."""
    show(axis, image, *image.shape[:2], 'lanczos')
    if seen.source is not None:
        _lines(axis, borders(seen.source), 0.9)
    for view, ((left, top, right, bottom), colour) in enumerate(
            zip(seen.boxes, VIEWS, strict=True)):
        for line, wide in (('black', (5.4, 3)[view]), (colour, (4, 1.8)[view])):
            axis.add_patch(Rectangle((left, top), right - left, bottom - top, fill=False,
                                     edgecolor=line, linewidth=wide, clip_on=False))
        corner = (left, top) if view == 0 else (right, bottom)
        axis.text(*corner, f' {view + 1} ', color='black', fontsize=10, fontweight='bold',
                  ha=('left', 'right')[view], va=('top', 'bottom')[view],
                  bbox=dict(facecolor=colour, edgecolor='black', pad=1.5))


def draw_view(axis: Axes, image: np.ndarray, regions: np.ndarray,
              colours: dict[int, np.ndarray]) -> None:
    """Draw a view (H, W, 3) in grey under the colours of its regions (H, W)."""
    show(axis, cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), *regions.shape, 'lanczos', cmap='gray',
         vmin=0, vmax=255)
    show(axis, overlay(magnified(regions), colours, 0.6), *regions.shape)
    _lines(axis, borders(regions), 0.8)


def draw_cells(axis: Axes, cells: np.ndarray, size: tuple[int, int],
               colours: dict[int, np.ndarray], drawn: Collection[int], inches: float) -> None:
    """Draw cells (h, w) in a view of ``size`` pixels (H, W), each region with its id once.

    Args:
        drawn: ids in a white box.
        inches: about the panel's longer side.
    """
    (height, width), (h, w) = size, cells.shape
    show(axis, overlay(magnified(stretch(cells, *size)), colours, 1), *size)
    scale = np.array([width / w, height / h])
    style = dict(colors='white', linewidth=0.5, alpha=0.6)
    axis.vlines(np.arange(1, w) * scale[0], 0, height, **style)
    axis.hlines(np.arange(1, h) * scale[1], 0, width, **style)
    _lines(axis, borders(cells) * scale, 1.4)
    points = min(10, 0.42 * 72 * inches * float(min(scale)) / max(size))
    for region in np.setdiff1d(cells, [0]).tolist():
        row, column = inner_cell(cells == region)
        place = (np.array([column, row]) + 0.5) * scale
        box = dict(boxstyle='round,pad=0.25', facecolor='white', edgecolor='black', linewidth=0.8)
        axis.text(*place, region, ha='center', va='center', fontsize=points,
                  color='black' if region in drawn else ink(colours.get(region, np.ones(3) * 0.6)),
                  bbox=box if region in drawn else None)


def draw_list(axis: Axes, listing: list[tuple[int, int | None, int | None]],
              colours: dict[int, np.ndarray]) -> None:
    """Draw each region's colour, id, and how often it was drawn from each view.

    Where there are more than there is room for, those that were never drawn are left out first.
    """
    room = ROWS * COLUMNS
    rows = listing if len(listing) <= room else [row for row in listing if any(row[1:])]
    blocks, left = -(-len(rows[:room]) // ROWS), len(listing) - len(rows)
    axis.set(xlim=(0, max(blocks, 2)), ylim=(ROWS + 1.5, 0))
    axis.set_title('times drawn (–: owns no cell of the view' + (
        f'; {left} never drawn are left out)' if left else ')'), fontsize=10, loc='left')
    for block in range(blocks):
        for x, text in ((0.24, 'id'), (0.5, 'view 1'), (0.78, 'view 2')):
            axis.text(block + x, 0.5, text, fontsize=8, ha='center', va='center', color='#555555')
    for place, (region, *counts) in enumerate(rows[:room]):
        block, row = divmod(place, ROWS)
        patch = dict(facecolor=colours[region]) if region in colours else dict(
            facecolor=STRIPES[0], hatch='////')
        axis.add_patch(Rectangle((block + 0.02, row + 1.12), 0.1, 0.76, edgecolor='#404040',
                                 linewidth=0.5, **patch))
        texts = [region, *('–' if count is None else f'{count} ×' for count in counts)]
        for x, text in zip((0.24, 0.5, 0.78), texts, strict=True):
            axis.text(block + x, row + 1.5, text, fontsize=9, ha='center', va='center',
                      fontweight='bold' if all(counts) else 'normal')
    if len(rows) > room:
        axis.text(blocks, ROWS + 1.4, f'and {len(rows) - room} more', fontsize=8, ha='right')


def summary(seen: SeenRegions) -> str:
    """Return what there is to count: regions of image and views, and rows with a positive."""
    own = [len(seen.owners(view)) for view in (0, 1)]
    what = 'regions in the image' if seen.source is not None else 'learnt regions'
    r = [int(positive.sum()) for positive in seen.positive]
    total = sum(map(len, seen.ids))
    return (f'{seen.number} {what}; {own[0]} own cells of view 1, {own[1]} of view 2, '
            f'{len(seen.shared())} of both\n{sum(r)} of {total} drawn rows have a positive '
            f'({r[0]} of {len(seen.ids[0])} of view 1, {r[1]} of {len(seen.ids[1])} of view 2)')


def regions_figure(image: np.ndarray, views: Sequence[np.ndarray], seen: SeenRegions) -> Figure:
    """An image, its two views above their cells, and a list of the regions drawn.

    Args:
        image: (H, W, 3) RGB uint8, whose pixels the boxes are in.
        views: (H, W, 3) each.
        seen: the regions of all of them.
    """
    colours, listing = colours_of(seen.shared()), seen.listing()
    side = 3.7
    widths = [min(max(shape[1] / shape[0], 0.9), 1.5) for shape in
              (image.shape, *(view.shape for view in views))]
    figure, axes = panels(2, 3, (side * sum(widths) + 0.4, 2 * side + 1.35), width_ratios=widths)
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.06)
    draw_source(axes[0, 0], image, seen)
    axes[0, 0].set_title('image, with both views' if seen.source is None
                         else 'image: regions, and both views', fontsize=10)
    draw_list(axes[1, 0], listing, colours)
    for view, (picture, cells) in enumerate(zip(views, seen.cells, strict=True)):
        top, bottom = axes[:, view + 1]
        draw_view(top, picture, seen.pixels[view], colours)
        drawn = set(seen.ids[view].tolist())
        draw_cells(bottom, cells, picture.shape[:2], colours, drawn, side)
        top.set_title(f'view {view + 1}' + (', mirrored' if seen.flips[view] else ''), fontsize=10)
        bottom.set_title(f'owners of its {cells.shape[0]} x {cells.shape[1]} cells', fontsize=10)
        for axis in (top, bottom):
            axis.spines[:].set(visible=True, color=VIEWS[view], linewidth=4)
    figure.suptitle(summary(seen), fontsize=12)
    edge = dict(edgecolor='#404040', linewidth=0.5)
    patches = {
        'a colour: one region, with cells in both views': tuple(
            Patch(facecolor=colour, **edge) for colour in REGIONS[:3]),
        'without cells in one or both': Patch(facecolor=STRIPES[0], hatch='////', **edge),
        'no region': Patch(facecolor=NOBODY, **edge),
        'drawn from the view (bold in the list: from both)': Patch(facecolor='white', **edge)}
    figure.legend(patches.values(), patches, loc='outside lower center', ncols=4, frameon=False,
                  fontsize=9, handler_map={tuple: HandlerTuple(ndivide=None, pad=0)})
    return figure


def draw_regions(model: DenseSSL, sample: dict, path: Path) -> Path:
    """Draw the regions of an image, of its views and of their cells, and the ids drawn.

    Args:
        model, sample: see :func:`~mmdense.visualization.regions.see_regions`.
    """
    views = [shown(sample['inputs'][view].permute(1, 2, 0).numpy()) for view in model.order[:2]]
    return save(regions_figure(shown(sample['source']['img']), views, see_regions(model, sample)),
                path)
