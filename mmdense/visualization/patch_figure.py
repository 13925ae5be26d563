"""The figure of turned patches: what the network sees, and by how much it says each was turned."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.patches import Rectangle

from mmdense.datasets.collate import collate_views
from mmdense.evaluation.features import evaluating
from mmdense.mistakes import WrongValue
from mmdense.models.selfsup.base import DenseSSL

from .figures import RIGHT, WRONG, panels, save, show, shown

#: images in one figure
COLUMNS = 6


def draw_patches(model: DenseSSL, samples: Sequence[dict], path: Path) -> Path:
    """Draw views of turned patches with the predicted angles, and the confusion matrix of these.

    Args:
        model: a method with ``logits`` and ``pool``, such as :class:`mmdense.PatchRotation`.
        samples: as packed, with angles.

    Raises:
        ValueError: the views have no angles.
    """
    if any('targets' not in sample['data_samples'] for sample in samples):
        raise WrongValue('the views have no angles to draw; expected mmdense.PatchRotate at the '
                         'end of the pipeline of the view')
    samples = samples[:COLUMNS]
    with evaluating(model), torch.no_grad():
        batch = model.data_preprocessor(collate_views(samples))
        turns, mask = (part[0] for part in (batch['data_samples'].targets,
                                            batch['data_samples'].masks))
        pooled, scored = model.pool(model.logits(batch['inputs'][0]).float(), mask,
                                    turns[0].numel())
    said, turns, scored, mask = (part.cpu().numpy() for part in (
        pooled.argmax(2), turns.flatten(1), scored, mask))
    names = model.confusion.names
    figure, axes = panels(1, len(samples) + 1, (2.6 * (len(samples) + 1), 3.2))
    for axis, sample, angles, guesses, known, numbers in zip(
            axes[0], samples, turns, said, scored, mask, strict=False):
        image = shown(sample['inputs'][0].permute(1, 2, 0).numpy())
        show(axis, image, *image.shape[:2])
        for number, (angle, guess) in enumerate(zip(angles, guesses, strict=True), 1):
            rows, columns = np.nonzero(numbers == number)
            if not len(rows) or not known[number - 1]:
                continue
            left, top = columns.min(), rows.min()
            wide, high = columns.max() + 1 - left, rows.max() + 1 - top
            colour = RIGHT if angle == guess else WRONG
            axis.add_patch(Rectangle((left + 0.5, top + 0.5), wide - 1, high - 1, fill=False,
                                     edgecolor=colour, linewidth=2))
            text = names[angle] if angle == guess else f'{names[angle]}: {names[guess]}'
            axis.text(left + wide / 2, top + high / 2, text, fontsize=7, color='white',
                      ha='center', va='center',
                      bbox=dict(boxstyle='round,pad=0.1', facecolor=colour, alpha=0.7))
    counts = np.zeros((len(names), len(names)))
    np.add.at(counts, (turns[scored], said[scored]), 1)
    last = axes[0, -1]
    last.imshow(counts / counts.sum(1, keepdims=True).clip(1), cmap='Greens', vmin=0, vmax=1)
    for (row, column), value in np.ndenumerate(counts):
        last.text(column, row, int(value), ha='center', va='center', fontsize=9)
    last.set(xticks=range(len(names)), yticks=range(len(names)), xticklabels=names,
             yticklabels=names, xlabel='predicted', ylabel='turned by')
    right = np.trace(counts)
    figure.suptitle(f'{right:.0f} of {counts.sum():.0f} patches right '
                    '(turned by: predicted, where they differ)', fontsize=11)
    return save(figure, path)
