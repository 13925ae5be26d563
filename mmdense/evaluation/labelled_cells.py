"""Cells with the classes of their pixels: which are kept, and how processes share them."""
from __future__ import annotations

import torch
from torch import Tensor

from mmdense.cells import at_pixels
from mmdense.datasets.label_maps import IGNORE
from mmdense.gathering import gather_unequal_rows
from mmdense.mistakes import WrongValue


def cell_histograms(labels: Tensor, h: int, w: int, num_classes: int) -> Tensor:
    """Count the classes of the pixels of each cell.

    Args:
        labels: (H, W) int64 class ids, 255 = ignored.
        h, w: number of cells; a pixel belongs to the cell that holds its centre.
        num_classes: ids are below it (``label_map`` sees to it).

    Returns:
        (h*w, num_classes) float32 counts; a row of zeros has no labelled pixel.
    """
    cells = at_pixels(torch.arange(h * w, device=labels.device).view(h, w), labels.shape)
    known = labels != IGNORE
    slots = (cells * num_classes + labels)[known]
    return torch.bincount(slots, minlength=h * w * num_classes).view(-1, num_classes).float()


def choose_cells(histograms: Tensor, count: int | None, seed: int) -> Tensor:
    """Choose labelled cells of one image with preference for its rare classes.

    A cell's score is the sum, over the classes in it, of the number of the image's cells that
    hold this class, times uniform noise; the lowest scores are kept (dense retrieval memory of
    "Towards In-context Scene Understanding", 2306.01667, as its open implementation samples it).

    Args:
        histograms: (N, C) counts of :func:`cell_histograms`.
        count: cells to keep; None = all.
        seed: of this image's own generator.

    Returns:
        (n,) int64 rising cell numbers, n <= count; cells without a labelled pixel never.
    """
    present = (histograms > 0).float()
    labelled = present.any(1)
    if count is None or count >= int(labelled.sum()):
        return labelled.nonzero().flatten()
    noise = torch.rand(len(present), generator=torch.Generator().manual_seed(seed))
    score = (present @ present.sum(0)) * noise.to(present.device)
    score[~labelled] = torch.inf
    return score.topk(count, largest=False).indices.sort().values


class LabelledCells:
    """Cells of labelled maps that have a labelled pixel, collected image by image.

    Args:
        num_classes: labels are below it; 255 = ignored.
        per_image: cells that an image gives at most, rare classes first; None = all.
        seed: of this choice.
    """

    def __init__(self, num_classes: int, per_image: int | None = None, seed: int = 0) -> None:
        self.num_classes, self.per_image, self.seed = num_classes, per_image, seed
        self.rows: list[tuple[Tensor, Tensor, Tensor]] = []

    def add(self, maps: Tensor, labels: Tensor, number: int) -> None:
        """Take cells of image ``number``: its map (D, h, w) and labels (H, W) int64."""
        counts = cell_histograms(labels, *maps.shape[1:], self.num_classes)
        cells = choose_cells(counts, self.per_image, self.seed * 1_000_003 + number)
        self.rows.append((maps.flatten(1).t()[cells], counts[cells],
                          torch.full_like(cells, number)))

    def gathered(self, device: torch.device | str) -> tuple[Tensor, Tensor]:
        """Return the cells of all processes, in the order of images.

        Returns:
            (N, D) features as they are, and (N, C) float32 pixel counts.

        Raises:
            ValueError: not one labelled cell.
        """
        own = [torch.cat(rows).to(device) for rows in zip(*self.rows, strict=True)]
        features, counts, image = (gather_unequal_rows(rows, device) for rows in own or [None] * 3)
        if not len(image):
            raise WrongValue('no pixel of the memory images is labelled')
        order = image.argsort(stable=True)
        return features[order], counts[order]
