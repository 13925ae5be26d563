"""Figures as PNG files: matches, feature colours, similarities, predictions beside labels."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Patch
from matplotlib.textpath import TextPath

from mmdense.files import whole_file

RIGHT, WRONG, HIDDEN = '#1a9850', '#d73027', '#9e9e9e'
UNLABELLED = (255, 255, 255)


def shown(image: np.ndarray) -> np.ndarray:
    """Return any image (H, W, C), BGR where it has colour, as (H, W, 3) uint8 RGB.

    Numbers other than uint8 are spread from their 2nd to their 98th percentile.
    """
    if image.dtype != np.uint8:
        low, high = np.nanpercentile(image, (2, 98))
        share = (image - low) / max(high - low, 1e-12)
        image = (np.nan_to_num(share).clip(0, 1) * 255).astype(np.uint8)
    if image.shape[2] == 3:
        return np.ascontiguousarray(image[..., ::-1])
    return image[..., :1].repeat(3, axis=2)


def save(figure: Figure, path: str | Path) -> Path:
    """Write a figure as PNG, whole or not at all."""
    path = Path(path)
    with whole_file(path) as file:
        figure.savefig(file, format='png', dpi=110, facecolor='white')
    return path


def panels(rows: int, columns: int, size: tuple[float, float],
           **options: object) -> tuple[Figure, np.ndarray]:
    """Return a figure of ``size`` inches (width, height) and its axes (rows, columns), all bare."""
    figure = Figure(figsize=size, layout='constrained')
    figure.get_layout_engine().set(w_pad=0.03, h_pad=0.03, wspace=0.02, hspace=0.02)
    axes = figure.subplots(rows, columns, squeeze=False, **options)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    return figure, axes


def show(axis: Axes, image: np.ndarray, height: int, width: int,
         interpolation: str = 'nearest', **options: object) -> AxesImage:
    """Draw an image, or a map of any size, over ``height`` x ``width`` pixels."""
    return axis.imshow(image, interpolation=interpolation, extent=(0, width, height, 0), **options)


def matches_figure(images: tuple[np.ndarray, np.ndarray], points: np.ndarray,
                   state: Sequence[str], title: str) -> Figure:
    """Two views side by side with lines between matching cells.

    Args:
        images: (H, W, 3) RGB uint8 each, of one height.
        points: (n, 2, 2) pixels (x, y) of each match in the first and the second view.
        state: 'right', 'wrong' or 'hidden' (its place is outside the second view) for each.
        title: above the views.
    """
    height, first, second = (images[0].shape[0], *(image.shape[1] for image in images))
    gap = max(4, first // 12)
    shifted = points + np.array([[0, 0], [first + gap, 0]])
    whole = first + gap + second
    figure, axes = panels(1, 1, (8.5, 8.5 * height / whole + 0.9))
    axis = axes[0, 0]
    for image, start in zip(images, (0, first + gap), strict=True):
        axis.imshow(image, interpolation='lanczos',
                    extent=(start, start + image.shape[1], height, 0))
    axis.set(xlim=(0, whole), ylim=(height, 0))
    colours = {'right': RIGHT, 'wrong': WRONG, 'hidden': HIDDEN}
    for name in ('hidden', 'wrong', 'right'):
        chosen = shifted[[s == name for s in state]]
        axis.add_collection(LineCollection(chosen, colors=colours[name],
                                           linewidths=0.7 if name == 'hidden' else 1.5,
                                           alpha=0.5 if name == 'hidden' else 0.9))
        axis.scatter(*chosen.reshape(-1, 2).T, s=8 if name == 'hidden' else 18,
                     color=colours[name], edgecolors='white',
                     linewidths=0.6, zorder=3)
    labels = {'right': 'within one cell of the true place', 'wrong': 'elsewhere',
              'hidden': 'not in the other view'}
    figure.legend(handles=[Patch(color=colours[name], label=labels[name]) for name in labels],
                  loc='outside lower center', ncols=3, frameon=False, fontsize=10)
    axis.set_title(title, fontsize=11)
    return figure


def colours_figure(images: Sequence[np.ndarray], colours: Sequence[np.ndarray]) -> Figure:
    """Images (H, W, 3) uint8 in one row, their feature colours (h, w, 3) in [0, 1] below."""
    ratio = max(image.shape[0] / image.shape[1] for image in images)
    figure, axes = panels(2, len(images), (2.6 * len(images), 5.2 * ratio + 0.3))
    for column, (image, colour) in enumerate(zip(images, colours, strict=True)):
        axes[0, column].imshow(image, interpolation='lanczos')
        show(axes[1, column], colour, *image.shape[:2])
    axes[0, 0].set_ylabel('image', fontsize=11)
    axes[1, 0].set_ylabel('features: 3 components', fontsize=11)
    return figure


def similarity_figure(image: np.ndarray, similarity: np.ndarray,
                      cell: tuple[float, float]) -> Figure:
    """An image with a marked pixel, and the cosine (h, w) of each cell with the marked one."""
    size = image.shape[:2]
    figure, axes = panels(1, 2, (8.4, 4.2 * size[0] / size[1] + 0.35))
    show(axes[0, 0], image, *size, 'lanczos')
    heat = show(axes[0, 1], similarity, *size, 'bilinear', cmap='magma', vmax=1)
    for axis in axes[0]:
        axis.plot(*cell, marker='+', markersize=15, markeredgewidth=4.5, color='white')
        axis.plot(*cell, marker='+', markersize=14, markeredgewidth=2, color='#00b4d8')
    figure.colorbar(heat, cax=axes[0, 1].inset_axes([1.03, 0, 0.04, 1]),
                    label='cosine with the marked cell')
    return figure


def paint(labels: np.ndarray, palette: Sequence[Sequence[int]]) -> np.ndarray:
    """Return labels (H, W) in the colours of a palette, (H, W, 3) uint8; 255 is white."""
    table = np.full((256, 3), UNLABELLED, np.uint8)
    table[:len(palette)] = palette
    return table[np.asarray(labels, np.uint8)]


def _add_legend(figure: Figure, colours: Mapping[str, Sequence[int]]) -> None:
    """Add a legend below, in as many columns as fit; the figure grows by its height."""
    if not colours:
        return
    width, height = figure.get_size_inches()
    entry = max(TextPath((0, 0), name, size=9).get_extents().width for name in colours) / 72
    entry += 0.65       # the patch, and the space around it
    columns = min(max(int(width / entry), 1), len(colours))
    lines = -(-len(colours) // columns)
    figure.set_size_inches(max(width, entry), height + 0.19 * lines + 0.15)
    patches = [Patch(facecolor=np.array(colour) / 255, edgecolor='grey', linewidth=0.5, label=name)
               for name, colour in colours.items()]
    figure.legend(handles=patches, loc='outside lower center', frameon=False, fontsize=9,
                  ncols=columns)


def draw_predictions(images: Sequence[np.ndarray],
                     predictions: Sequence[np.ndarray] | Mapping[str, Sequence[np.ndarray]],
                     labels: Sequence[np.ndarray], palette: Sequence[Sequence[int]],
                     classes: Sequence[str] = ()) -> Figure:
    """Images, predictions and labels, one image per column.

    Args:
        images: (H, W, 3) RGB uint8.
        predictions: (H, W) class ids for each image, or several such lists by name (rows).
        labels: (H, W) class ids; 255 = unlabelled, white.
        palette: (r, g, b) of each class.
        classes: names for a legend of those that occur.
    """
    rows = predictions if isinstance(predictions, Mapping) else {'prediction': predictions}
    occurring = sorted({int(number) for maps in (*rows.values(), labels) for one in maps
                        for number in np.unique(one)})
    rows = {'image': images,
            **{name: [paint(p, palette) for p in maps] for name, maps in rows.items()},
            'label': [paint(label, palette) for label in labels]}
    ratio = max(image.shape[0] / image.shape[1] for image in images)
    size = 2.2 * len(images), (2.2 * ratio + 0.1) * len(rows)
    figure, axes = panels(len(rows), len(images), size)
    for line, (name, maps) in zip(axes, rows.items(), strict=True):
        line[0].set_ylabel(name, fontsize=11)
        for axis, drawn in zip(line, maps, strict=True):
            axis.imshow(drawn, interpolation='nearest' if name != 'image' else 'lanczos')
    if classes:
        _add_legend(figure, {classes[number]: palette[number] for number in occurring
                             if number < min(len(classes), len(palette))})
    return figure
