"""Dense k-NN segmentation of frozen features as mmengine's val and test loops."""
from __future__ import annotations

import torch
from mmengine.evaluator import Evaluator
from mmengine.registry import DATASETS
from mmengine.runner import BaseLoop, Runner
from torch.utils.data import DataLoader, Dataset

from mmdense.random_states import kept_random_state
from mmdense.registry import LOOPS

from .baselines import MeanIoU
from .features import FrozenEncoder
from .label_free import RawImages, label_free_metrics
from .memory import ConsecutiveBatches
from .segmentation import KNNSegmenter


def build_dataset(dataloader: dict, part: str) -> Dataset:
    """Build the dataset of a dataloader's config; ``part`` is its name in messages.

    Raises:
        ValueError: it has no images (mmengine itself fails somewhere in numpy).
    """
    try:
        dataset = DATASETS.build(dataloader['dataset'])
        if hasattr(dataset, 'full_init'):
            dataset.full_init()
    except ValueError as error:
        if 'need at least one array' not in str(error):
            raise
        cfg = dataloader['dataset']
        raise ValueError(f"the {part} dataset ({cfg['type']}, data_root={cfg.get('data_root')}, "
                         f"data_prefix={cfg.get('data_prefix')}) has no images") from None
    return dataset


def memory_dataloader(runner: Runner, cfg: dict) -> DataLoader:
    """Build the loader of the memory: the config's own, but each image once, in order."""
    dataset = build_dataset(cfg, 'memory')
    sampler = ConsecutiveBatches(dataset, cfg.get('batch_size', 1))
    return runner.build_dataloader({**cfg, 'dataset': dataset, 'sampler': sampler},
                                   seed=runner.seed)


def check_datasets(memory: object, query: object) -> int:
    """Return the number of classes that memory and query datasets share.

    Raises:
        ValueError: no classes, or different ones.
    """
    names = [dataset.metainfo.get('classes') if hasattr(dataset, 'metainfo') else None
             for dataset in (memory, query)]
    for part, dataset, classes in zip(('memory', 'query'), (memory, query), names, strict=True):
        if not classes:
            raise ValueError(f'the {part} dataset ({type(dataset).__name__}) of dense k-NN has '
                             "no metainfo 'classes'; a labelled mmseg dataset is needed")
    if tuple(names[0]) != tuple(names[1]):
        raise ValueError('memory and query datasets of dense k-NN have different classes: '
                         f'{tuple(names[0])} and {tuple(names[1])}')
    return len(names[0])


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
            raise ValueError(f'k={k}, beta={beta}, memory_size={memory_size}: dense k-NN needs '
                             f'k >= 1, beta > 0 and one cell for each of {images} memory images')
        self.encoder_cfg = dict(stride=stride, out_index=out_index)
        self.segmenter_cfg = dict(num_classes=self.num_classes, k=k, beta=beta, seed=seed,
                                  per_image=memory_size and memory_size // images)
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
            segmenter = KNNSegmenter(encoder, **self.segmenter_cfg)
            if self.recalibrate_bn:
                segmenter.recalibrate(self.memory_loader)
            segmenter.remember(self.memory_loader)
            metrics = self._label_queries(segmenter)
            if self.label_free:
                metrics.update(label_free_metrics(
                    encoder, RawImages(self.dataloader.dataset), self.seed,
                    self.dataloader.batch_size or 1, self.dataloader.num_workers))
            self.runner.call_hook(f'after_{self.mode}_epoch', metrics=metrics)
            self.runner.call_hook(f'after_{self.mode}')
        return metrics

    def _label_queries(self, segmenter: KNNSegmenter) -> dict[str, float]:
        beside = {name: MeanIoU(self.num_classes) for name in ('position_prior', 'ceiling')}
        for number, batch in enumerate(self.dataloader):
            self.runner.call_hook(f'before_{self.mode}_iter', batch_idx=number, data_batch=batch)
            samples = segmenter.predict(batch, beside)
            self.evaluator.process(data_samples=samples, data_batch=batch)
            self.runner.call_hook(f'after_{self.mode}_iter', batch_idx=number, data_batch=batch,
                                  outputs=samples)
        size = len(self.dataloader.dataset)
        metrics = self.evaluator.evaluate(size)
        metrics.update({f'{name}_mIoU': iou.compute(size) for name, iou in beside.items()})
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
