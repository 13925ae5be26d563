"""Dense k-NN segmentation of frozen features as mmengine's val and test loops."""
from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice

import torch
from mmengine.dist import get_dist_info
from mmengine.evaluator import Evaluator
from mmengine.logging import print_log
from mmengine.runner import BaseLoop, Runner
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor
from torch.utils.data import DataLoader

from mmdense.datasets.label_counts import LabelCounts, ignore_index_of
from mmdense.mistakes import WrongValue
from mmdense.random_states import kept_random_state
from mmdense.registry import LOOPS

from .baselines import Baselines
from .datasets import ConsecutiveBatches, build_dataset, check_datasets, label_map
from .features import RECALIBRATION_IMAGES, FrozenEncoder, by_size, recalibrate_bn
from .knn import KNNSegmenter
from .label_free import label_free_metrics
from .labelled_cells import LabelledCells
from .sources import RawImages

#: seconds between two progress lines
PATIENCE = 20


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


def memory_dataloader(runner: Runner, cfg: dict) -> DataLoader:
    """Build the loader of the memory: the config's own, but each image once, in order."""
    dataset = build_dataset(cfg, 'memory')
    sampler = ConsecutiveBatches(dataset, cfg.get('batch_size', 1))
    return runner.build_dataloader({**cfg, 'dataset': dataset, 'sampler': sampler},
                                   seed=runner.seed)


class DenseKNNLoop(BaseLoop):
    """Label each cell of query images by its nearest cells in labelled memory images.

    Dense retrieval of "Towards In-context Scene Understanding" (2306.01667): features are unit
    vectors; a cell's label is the share of each class among its labelled pixels; k neighbours
    vote with softmax(cosine / beta); votes are upsampled bilinearly to the label map's size. The
    metrics are the evaluator's, plus ``position_prior_mIoU`` (per-pixel majority of the memory's
    labels) and ``ceiling_mIoU`` (the true labels at the map's resolution).

    It works on a copy of the encoder and puts the random state back: training goes on as if
    there had been no evaluation. Several processes share the work.

    Args:
        runner: whose model is measured.
        dataloader: of the query images: any mmseg dataset, labels included.
        evaluator: usually ``dict(type='IoUMetric', iou_metrics=['mIoU'])``.
        memory: dataloader config of the labelled memory images. Its sampler is replaced: each
            image is used once.
        k: neighbours.
        beta: temperature of their votes.
        memory_size: cells in memory; each image gives an equal part, rare classes first.
            None = all.
        out_index: which feature map, see :class:`FrozenEncoder`.
        stride: of the map in pixels, see :class:`FrozenEncoder`; None = the network's own.
        recalibrate_bn: re-estimate BatchNorm statistics on the memory images first.
        seed: of the choice of cells.
        label_free: also measure, on the query images, what needs no labels:
            ``correspondence_accuracy``, ``effective_rank`` and ``feature_std``
            (:func:`~mmdense.evaluation.label_free.label_free_metrics`).

    Raises:
        ValueError: datasets without images or with different classes, k or beta or memory_size
            too small, or what :class:`FrozenEncoder` raises.
    """
    mode: str

    #: only the encoder of the model counts (:class:`LoadReportHook` asks for it)
    frozen_features = True

    def __init__(self, runner: Runner, dataloader: DataLoader | dict, evaluator: Evaluator | dict,
                 memory: dict, k: int = 30, beta: float = 0.02,
                 memory_size: int | None = 102_400, out_index: int | str | None = None,
                 stride: int | None = None, recalibrate_bn: bool = True, seed: int = 0,
                 label_free: bool = False) -> None:
        if isinstance(dataloader, dict):
            dataloader = {**dataloader, 'dataset': build_dataset(dataloader, 'query')}
        super().__init__(runner, dataloader)
        self.memory_loader = memory_dataloader(runner, memory)
        self.num_classes = check_datasets(self.memory_loader.dataset, self.dataloader.dataset)
        images = len(self.memory_loader.dataset)
        if k < 1 or beta <= 0 or (memory_size is not None and memory_size < images):
            raise WrongValue(f'k={k}, beta={beta}, memory_size={memory_size}: dense k-NN needs '
                             f'k >= 1, beta > 0 and one cell for each of {images} memory images')
        self.encoder_cfg = dict(stride=stride, out_index=out_index)
        self.k, self.beta, self.per_image = k, beta, memory_size and memory_size // images
        self.recalibrate_bn, self.seed, self.label_free = recalibrate_bn, seed, label_free
        self.evaluator = (evaluator if isinstance(evaluator, Evaluator)
                          else runner.build_evaluator(evaluator))
        self.evaluator.dataset_meta = self.dataloader.dataset.metainfo
        runner.visualizer.dataset_meta = self.dataloader.dataset.metainfo

    def run(self) -> dict[str, float]:
        """Measure the model as it is now; return the metrics."""
        with kept_random_state(), torch.no_grad():
            self.runner.call_hook(f'before_{self.mode}')
            self.runner.call_hook(f'before_{self.mode}_epoch')
            encoder = FrozenEncoder(self.runner.model, **self.encoder_cfg)
            if self.recalibrate_bn:
                self._recalibrate(encoder)
            metrics = self._label_queries(encoder, *self._remember(encoder))
            if self.label_free:
                metrics.update(label_free_metrics(
                    encoder, RawImages(self.dataloader.dataset), self.seed,
                    self.dataloader.batch_size or 1, self.dataloader.num_workers))
            self.runner.call_hook(f'after_{self.mode}_epoch', metrics=metrics)
            self.runner.call_hook(f'after_{self.mode}')
        return metrics

    def _recalibrate(self, encoder: FrozenEncoder) -> None:
        """Re-estimate the encoder's BatchNorm statistics on the memory images."""
        loader, (rank, world_size) = self.memory_loader, get_dist_info()
        total = -(-RECALIBRATION_IMAGES // loader.batch_size)
        batches = islice(with_progress(loader, 'BatchNorm statistics'),
                         len(range(rank, total, world_size)))
        recalibrate_bn(encoder, (batch['inputs'] for batch in batches))

    def _maps(self, encoder: FrozenEncoder, batch: dict) -> Iterator[tuple[int, Tensor, Tensor]]:
        """Yield the place in a batch, the map (D, h, w) and the labels (H, W) of its images."""
        for places, images in by_size(batch['inputs']):
            for place, maps in zip(places, encoder(images), strict=True):
                labels = label_map(batch['data_samples'][place], self.num_classes)
                yield place, maps, labels.to(maps.device)

    def _remember(self, encoder: FrozenEncoder) -> tuple[KNNSegmenter, Baselines]:
        loader, (rank, world_size) = self.memory_loader, get_dist_info()
        first = label_map(loader.dataset[0]['data_samples'], self.num_classes)
        beside = Baselines(self.num_classes, tuple(first.shape), encoder.device)
        memory = LabelledCells(self.num_classes, self.per_image, self.seed)
        shown = LabelCounts(loader.dataset.metainfo['classes'], 'the memory dataset',
                            ignore_index_of(loader.dataset))
        for step, batch in enumerate(with_progress(loader, 'memory')):
            offset = (step * world_size + rank) * loader.batch_size
            for place, maps, labels in self._maps(encoder, batch):
                memory.add(maps, labels, offset + place)
                beside.prior.add(labels)
            for sample in batch['data_samples']:
                shown.add(sample.gt_sem_seg.data)
        shown.reduce()
        level, line = shown.judge(learnt=True)
        print_log(line, 'current', level)
        beside.prior.reduce()
        segmenter = KNNSegmenter(memory, encoder.device, self.k, self.beta)
        print_log(f'dense k-NN: {len(segmenter.keys)} cells of {segmenter.keys.shape[1]} channels '
                  f'from {len(loader.dataset)} images in memory', 'current')
        return segmenter, beside

    def _predict(self, encoder: FrozenEncoder, segmenter: KNNSegmenter, batch: dict,
                 beside: Baselines) -> list[SegDataSample]:
        """Return the samples of a query batch with ``pred_sem_seg`` at their labels' size."""
        samples = list(batch['data_samples'])
        for place, maps, labels in self._maps(encoder, batch):
            beside.add(labels, *maps.shape[1:])
            prediction = segmenter(maps, tuple(labels.shape))
            samples[place].pred_sem_seg = PixelData(data=prediction[None])
        return samples

    def _label_queries(self, encoder: FrozenEncoder, segmenter: KNNSegmenter,
                       beside: Baselines) -> dict[str, float]:
        for number, batch in enumerate(self.dataloader):
            self.runner.call_hook(f'before_{self.mode}_iter', batch_idx=number, data_batch=batch)
            samples = self._predict(encoder, segmenter, batch, beside)
            self.evaluator.process(data_samples=samples, data_batch=batch)
            self.runner.call_hook(f'after_{self.mode}_iter', batch_idx=number, data_batch=batch,
                                  outputs=samples)
        size = len(self.dataloader.dataset)
        metrics = self.evaluator.evaluate(size)
        metrics.update(beside.compute(size))
        self.runner.logger.info(
            'dense k-NN mIoU %s; beside it: position prior %.2f, resolution ceiling %.2f',
            metrics.get('mIoU'), metrics['position_prior_mIoU'], metrics['ceiling_mIoU'])
        return metrics


@LOOPS.register_module()
class DenseKNNValLoop(DenseKNNLoop):
    """:class:`DenseKNNLoop` as ``val_cfg``, so that pretraining logs its mIoU."""
    mode = 'val'


@LOOPS.register_module()
class DenseKNNTestLoop(DenseKNNLoop):
    """:class:`DenseKNNLoop` as ``test_cfg``, for ``tools/test.py``."""
    mode = 'test'
