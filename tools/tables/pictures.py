"""What the rows of a table predict, side by side on a few images."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image

from mmdense.evaluation.predictions import IMAGES, LABELS, PREDICTIONS
from mmdense.visualization.figures import save
from steps.step import Step

from .chains import PREDICTIONS as STEP_PREDICTIONS

#: inches of a column
WIDTH = 2.0


def prediction_folders(chains: Sequence[Sequence[Step]]) -> dict[str, Path]:
    """Return the folder of predictions of each row's lowest seed that has one, by row.

    Args:
        chains: in the order of the rows.
    """
    found: dict[str, tuple[int, Path]] = {}
    for step in (step for steps in chains for step in steps if step.name == 'evaluate'):
        folder = step.folder / STEP_PREDICTIONS
        if step.result() is not None and folder.is_dir():
            other = found.get(step.row)
            found[step.row] = (step.seed, folder) if other is None else min(
                other, (step.seed, folder))
    return {row: folder for row, (_, folder) in found.items()}


def _image(path: Path) -> Image.Image | None:
    try:
        return Image.open(path).convert('RGB')
    except OSError:       # not there, or broken
        return None


def draw_table_predictions(folders: Mapping[str, Path], path: Path) -> Path | None:
    """Write a page of images: image, label, and each row's prediction; one line per image.

    Args:
        folders: by the row's name, of ``write_predictions``; those without images are left out.
        path: of the PNG.

    Returns:
        ``path``, or None where no folder has an image: nothing is written then.
    """
    names = dict.fromkeys(found.name for folder in folders.values()
                          for found in sorted((folder / PREDICTIONS).glob('*.png')))
    rows = {row: folder for row, folder in folders.items()
            if any((folder / PREDICTIONS / name).is_file() for name in names)}
    if not rows:
        return None
    lines = []
    for name in names:
        # of the first row that has it; all rows of a data set have the same
        first = next(folder for folder in rows.values() if (folder / PREDICTIONS / name).is_file())
        lines.append([_image(first / IMAGES / name), _image(first / LABELS / name),
                      *(_image(folder / PREDICTIONS / name) for folder in rows.values())])
    ratio = max(one.height / one.width for line in lines for one in line if one)
    figure = Figure(figsize=(WIDTH * len(lines[0]), WIDTH * ratio * len(lines) + 0.4),
                    layout='constrained')
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0.01, hspace=0.01)
    axes = figure.subplots(len(lines), len(lines[0]), squeeze=False)
    for line, shown in zip(axes, lines, strict=True):
        for axis, image in zip(line, shown, strict=True):
            axis.axis('off')
            if image is not None:
                axis.imshow(image, interpolation='nearest')
    for axis, title in zip(axes[0], ('image', 'label', *rows), strict=True):
        axis.set_title(title, fontsize=8, wrap=True)
    return save(figure, path)
