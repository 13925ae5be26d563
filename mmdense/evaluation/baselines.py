"""Reference values for any feature map: the position prior and the resolution ceiling."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from mmengine.dist import all_gather_object, all_reduce
from mmseg.evaluation import IoUMetric
from torch import Tensor

from mmdense.cells import at_pixels
from mmdense.datasets.label_maps import IGNORE

from .labelled_cells import cell_histograms

#: the position prior is counted on a grid of at most this many rows and columns
LARGEST_GRID = 512


def upsample(scores: Tensor, h: int, w: int, size: tuple[int, int]) -> Tensor:
    """Return the best class (H, W) int64 of cell scores (h*w, C), upsampled bilinearly."""
    maps = scores.t().reshape(1, -1, h, w)
    # not argmax: over the first dimension it takes ten times as long on a CPU
    return F.interpolate(maps, size=size, mode='bilinear', align_corners=False)[0].max(0).indices


def ceiling(histograms: Tensor, h: int, w: int, size: tuple[int, int]) -> Tensor:
    """Return (H, W): the prediction of cells that know the classes of their own pixels.

    Args:
        histograms: (h*w, C) class counts of the cells, of ``cell_histograms``.
        h, w: number of cells.
        size: (H, W) of the image.
    """
    return upsample(F.normalize(histograms, p=1, dim=1), h, w, size)


class PositionPrior:
    """Per-pixel majority of label maps, which are resized (nearest) to one grid.

    Args:
        size: (H, W) of the grid; the longer side is cut to ``LARGEST_GRID``.
        num_classes: of the labels; ties and pixels nobody labelled go to the lowest class.
    """

    def __init__(self, size: tuple[int, int], num_classes: int, device: torch.device) -> None:
        scale = min(1, LARGEST_GRID / max(size))
        height, width = (max(1, round(side * scale)) for side in size)
        self.counts = torch.zeros(num_classes, height, width, dtype=torch.int32, device=device)

    def add(self, labels: Tensor) -> None:
        """Count one label map (H, W) int64, 255 = ignored."""
        labels = at_pixels(labels, self.counts.shape[1:])[None]
        known = (labels != IGNORE).to(self.counts.dtype)
        self.counts.scatter_add_(0, labels.where(known.bool(), 0), known)

    def reduce(self) -> None:
        """Add up the counts of all processes."""
        all_reduce(self.counts)

    def predict(self, size: tuple[int, int]) -> Tensor:
        """Return the majority (H, W) int64 at the size of an image."""
        return at_pixels(self.counts.max(0).indices, size)


class MeanIoU:
    """mmseg's mIoU of one prediction more, in per cent, without its table."""

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes
        self.areas: list[Tensor] = []

    def add(self, prediction: Tensor, labels: Tensor) -> None:
        """Take one image: classes (H, W) int64 both, in the labels 255 = ignored."""
        # as IoUMetric.intersect_and_union counts, in one pass over the pixels instead of four
        count = self.num_classes
        pairs = torch.where(labels == IGNORE, count * count, labels * count + prediction)
        table = torch.bincount(pairs.flatten(), minlength=count * count + 1)[:-1].view(count, count)
        hit, labelled, predicted = table.diagonal(), table.sum(1), table.sum(0)
        self.areas.append(torch.stack([hit, labelled + predicted - hit, predicted, labelled]))

    def compute(self, size: int) -> float:
        """Return the mIoU over all processes; ``size`` images, what samplers padded is dropped."""
        # an object keeps its device: what came from another GPU could not be added up here
        own = torch.stack(self.areas).cpu() if self.areas else ()
        parts = all_gather_object(own)
        rows = [part[i] for i in range(max(map(len, parts))) for part in parts if i < len(part)]
        iou = IoUMetric.total_area_to_metrics(*torch.stack(rows[:size]).sum(0),
                                              metrics=['mIoU'])['IoU']
        return round(float(torch.as_tensor(iou).nanmean()) * 100, 2)


class Baselines:
    """The mIoU of the position prior and of the resolution ceiling; no features enter.

    Args:
        num_classes: of all labels.
        size: (H, W) of the grid on which the prior is counted.
        device: of the labels.
    """

    def __init__(self, num_classes: int, size: tuple[int, int],
                 device: torch.device | str) -> None:
        self.num_classes, self.prior = num_classes, PositionPrior(size, num_classes, device)
        self.found = {f'{name}_mIoU': MeanIoU(num_classes)
                      for name in ('position_prior', 'ceiling')}

    def add(self, labels: Tensor, h: int, w: int) -> None:
        """Take the labels (H, W) int64 of a query image whose map has h x w cells."""
        size = tuple(labels.shape)
        counts = cell_histograms(labels, h, w, self.num_classes)
        self.found['position_prior_mIoU'].add(self.prior.predict(size), labels)
        self.found['ceiling_mIoU'].add(ceiling(counts, h, w, size), labels)

    def compute(self, size: int) -> dict[str, float]:
        """Return both in per cent, over all processes; ``size`` images."""
        return {name: iou.compute(size) for name, iou in self.found.items()}
