"""Segment images by their nearest labelled cells: the work behind the k-NN loops."""
from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice

import torch.nn.functional as F
from mmengine.dist import get_dist_info
from mmengine.logging import print_log
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor
from torch.utils.data import DataLoader

from mmdense.datasets.label_counts import LabelCounts, ignore_index_of

from .baselines import MeanIoU, PositionPrior, ceiling, upsample
from .features import FrozenEncoder, by_size, recalibrate_bn
from .knn import knn_vote
from .memory import Memory, cell_histograms

#: BatchNorm statistics need no more memory images than these
RECALIBRATION_IMAGES = 1024
#: seconds between two progress lines
PATIENCE = 20


def label_map(sample: SegDataSample) -> Tensor:
    """Return the labels (H, W) int64 of a sample.

    Raises:
        ValueError: it has none.
    """
    if 'gt_sem_seg' not in sample:
        raise ValueError(f"{sample.get('img_path')} comes without labels: dense k-NN needs "
                         'LoadAnnotations before PackSegInputs')
    return sample.gt_sem_seg.data[0].long()


def with_progress(loader: DataLoader, what: str) -> Iterator[dict]:
    """Yield the batches of a loader; of a long pass, log where it is."""
    start = last = time.monotonic()
    for number, batch in enumerate(loader):
        yield batch
        now = time.monotonic()
        if now - last > PATIENCE:
            last = now
            print_log(f'dense k-NN, {what}: batch {number + 1} of {len(loader)}, '
                      f'{now - start:.0f} s', 'current')


class KNNSegmenter:
    """Labelled memory and what is done with it. Arguments as of ``DenseKNNLoop``.

    Args:
        encoder: gives the feature maps.
        num_classes: of memory and queries.
        per_image: cells that an image gives to the memory at most; None = all.
        k, beta, seed: neighbours, temperature of the vote, of the choice of cells.
    """

    def __init__(self, encoder: FrozenEncoder, num_classes: int, per_image: int | None = None,
                 k: int = 30, beta: float = 0.02, seed: int = 0) -> None:
        self.encoder, self.num_classes, self.per_image = encoder, num_classes, per_image
        self.k, self.beta, self.seed = k, beta, seed

    def recalibrate(self, loader: DataLoader) -> None:
        """Re-estimate the encoder's BatchNorm statistics on the memory images."""
        rank, world_size = get_dist_info()
        total = -(-RECALIBRATION_IMAGES // loader.batch_size)
        batches = islice(with_progress(loader, 'BatchNorm statistics'),
                         len(range(rank, total, world_size)))
        recalibrate_bn(self.encoder, (batch['inputs'] for batch in batches))

    def remember(self, loader: DataLoader) -> None:
        """Fill the memory and the position prior from a loader over ``ConsecutiveBatches``."""
        device = self.encoder.device
        first = label_map(loader.dataset[0]['data_samples'])
        self.prior = PositionPrior(tuple(first.shape), self.num_classes, device)
        memory, (rank, world_size) = Memory(), get_dist_info()
        shown = LabelCounts(loader.dataset.metainfo['classes'], 'the memory dataset',
                            ignore_index_of(loader.dataset))
        for step, batch in enumerate(with_progress(loader, 'memory')):
            offset = (step * world_size + rank) * loader.batch_size
            for numbers, maps in self._maps(batch):
                for number, features in zip(numbers, maps, strict=True):
                    labels, counts = self._labels(batch['data_samples'][number], features)
                    memory.add(features, counts, self.per_image, offset + number, self.seed)
                    self.prior.add(labels)
            for sample in batch['data_samples']:
                shown.add(sample.gt_sem_seg.data)
        shown.reduce()
        level, line = shown.judge(learnt=True)
        print_log(line, 'current', level)
        self.prior.reduce()
        self.keys, self.key_labels = memory.gathered(device)
        print_log(f'dense k-NN: {len(self.keys)} cells of {self.keys.shape[1]} channels from '
                  f'{len(loader.dataset)} images in memory', 'current')

    def predict(self, batch: dict, beside: dict[str, MeanIoU]) -> list[SegDataSample]:
        """Return the samples of a query batch with ``pred_sem_seg`` at their labels' size.

        ``beside`` takes the images' ``position_prior`` and ``ceiling``.
        """
        samples = list(batch['data_samples'])
        for numbers, maps in self._maps(batch):
            count, channels, h, w = maps.shape
            queries = F.normalize(maps.permute(0, 2, 3, 1).reshape(-1, channels), dim=1)
            votes = knn_vote(queries, self.keys, self.key_labels, self.k, self.beta)
            for number, features, scores in zip(numbers, maps, votes.chunk(count), strict=True):
                labels, counts = self._labels(samples[number], features)
                size = tuple(labels.shape)
                beside['position_prior'].add(self.prior.predict(size), labels)
                beside['ceiling'].add(ceiling(counts, h, w, size), labels)
                prediction = upsample(scores, h, w, size)
                samples[number].pred_sem_seg = PixelData(data=prediction[None])
        return samples

    def _maps(self, batch: dict) -> Iterator[tuple[list[int], Tensor]]:
        for numbers, images in by_size(batch['inputs']):
            yield numbers, self.encoder(images)

    def _labels(self, sample: SegDataSample, features: Tensor) -> tuple[Tensor, Tensor]:
        labels = label_map(sample).to(features.device)
        try:
            return labels, cell_histograms(labels, *features.shape[-2:], self.num_classes)
        except ValueError as error:
            raise ValueError(f"{sample.get('seg_map_path')}: {error}") from None
