"""The labelled memory of dense k-NN: which cells are kept, and how processes share them."""
from __future__ import annotations

from collections.abc import Iterator, Sized
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from mmengine.dist import all_gather, all_gather_object, get_dist_info
from torch import Tensor
from torch.utils.data import Sampler

from mmdense.cells import at_pixels

IGNORE = 255


class ConsecutiveBatches(Sampler[int]):
    """Whole batches 0, 1, 2, … of a dataset, dealt to the processes in turn, each image once.

    A batch holds the same images however many processes there are, so its statistics do too.
    """

    def __init__(self, dataset: Sized, batch_size: int) -> None:
        self.rank, self.world_size = get_dist_info()
        self.size, self.batch_size = len(dataset), batch_size

    def __iter__(self) -> Iterator[int]:
        step = self.batch_size * self.world_size
        for start in range(self.rank * self.batch_size, self.size, step):
            yield from range(start, min(start + self.batch_size, self.size))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def cell_histograms(labels: Tensor, h: int, w: int, num_classes: int) -> Tensor:
    """Count the classes of the pixels of each cell.

    Args:
        labels: (H, W) int64 class ids, 255 = ignored.
        h, w: number of cells; a pixel belongs to the cell that holds its centre.
        num_classes: ids are below it.

    Returns:
        (h*w, num_classes) float32 counts; a row of zeros has no labelled pixel.

    Raises:
        ValueError: an id that is neither a class nor 255.
    """
    cells = at_pixels(torch.arange(h * w, device=labels.device).view(h, w), labels.shape)
    known = labels != IGNORE
    slots = (cells * num_classes + labels)[known]
    valid = labels[known]
    if valid.numel() and not 0 <= int(valid.min()) <= int(valid.max()) < num_classes:
        raise ValueError(f'label {int(valid.max())} is outside the {num_classes} classes '
                         f'(0 to {num_classes - 1}, and {IGNORE} for ignored pixels)')
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


@dataclass
class Memory:
    """Cells with soft labels, collected image by image.

    Attributes:
        features: unit rows (n, D) float32, one entry per image.
        labels: class shares (n, C) float32.
        image: (n,) int64 the image each row is of.
    """
    features: list[Tensor] = field(default_factory=list)
    labels: list[Tensor] = field(default_factory=list)
    image: list[Tensor] = field(default_factory=list)

    def add(self, feature_map: Tensor, histograms: Tensor, count: int | None, number: int,
            seed: int) -> None:
        """Keep at most ``count`` cells of image ``number``: map (D, h, w), counts (h*w, C)."""
        cells = choose_cells(histograms, count, seed * 1_000_003 + number)
        rows = feature_map.flatten(1).t()[cells]
        self.features.append(F.normalize(rows, dim=1))
        self.labels.append(F.normalize(histograms[cells], p=1, dim=1))
        self.image.append(torch.full_like(cells, number))

    def gathered(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return the keys (N, D) and labels (N, C) of all processes, in the order of images.

        Raises:
            ValueError: not one labelled cell.
        """
        features, labels, image = (gather_rows(torch.cat(part) if part else None, device)
                                   for part in (self.features, self.labels, self.image))
        if not len(image):
            raise ValueError('no pixel of the memory images is labelled')
        order = image.argsort(stable=True)
        return features[order], labels[order]


def gather_rows(rows: Tensor | None, device: torch.device) -> Tensor:
    """Concatenate the rows of all processes; each has any number of them, or None."""
    shapes = all_gather_object(None if rows is None else (tuple(rows.shape), rows.dtype))
    known = [shape for shape in shapes if shape is not None]
    (_, *tail), dtype = known[0]
    counts = [0 if shape is None else shape[0][0] for shape in shapes]
    padded = torch.zeros(max(counts), *tail, dtype=dtype, device=device)
    if rows is not None:
        padded[:len(rows)] = rows
    return torch.cat([part[:count] for part, count in zip(all_gather(padded), counts,
                                                          strict=True)])
