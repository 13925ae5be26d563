"""Evaluation during training without any labels."""
from __future__ import annotations

import torch
from mmengine.evaluator import Evaluator
from mmengine.runner import BaseLoop, Runner
from torch.utils.data import DataLoader

from mmdense.mistakes import WrongValue
from mmdense.random_states import kept_random_state
from mmdense.registry import LOOPS

from .datasets import ConsecutiveBatches, build_dataset
from .features import RECALIBRATION_IMAGES, FrozenEncoder
from .label_free import label_free_metrics
from .passes import recalibrate_on
from .sources import IMAGES, RawImages


@LOOPS.register_module()
class LabelFreeValLoop(BaseLoop):
    """Measure the frozen encoder without labels, as ``val_cfg`` (see ``label_free_metrics``).

    The metrics are ``correspondence_accuracy`` (per cent), ``effective_rank`` and
    ``feature_std``: they are logged, and ``save_best`` and ``StopBelowStartHook`` know them. It
    works on a copy of the encoder and puts the random state back: training goes on as if there
    had been no evaluation. Several processes share the work. Hooks of an epoch are called, those
    of an iteration are not: nothing is predicted.

    Args:
        runner: whose model is measured.
        dataloader: of any images, labels or not; its sampler is replaced.
        evaluator: mmengine wants one beside a loop: ``val_evaluator = []``.
        out_index: which feature map, see :class:`FrozenEncoder`.
        stride: of the map in pixels, see :class:`FrozenEncoder`; None = the network's own.
        recalibrate_bn: re-estimate BatchNorm statistics on the images first.
        max_images: that are looked at, evenly chosen; None = all.
        seed: of the crops and of the choice of cells.

    Raises:
        ValueError: an evaluator, max_images below 1, a dataset without images, or what
            :class:`FrozenEncoder` and ``label_free_metrics`` raise.
    """

    #: only the encoder of the model counts (:class:`LoadReportHook` asks for it)
    frozen_features = True

    def __init__(self, runner: Runner, dataloader: DataLoader | dict,
                 evaluator: Evaluator | dict | list | None = None,
                 out_index: int | str | None = None, stride: int | None = None,
                 recalibrate_bn: bool = True, max_images: int | None = IMAGES,
                 seed: int = 0) -> None:
        if evaluator:
            raise WrongValue(f'LabelFreeValLoop looks at no labels and got val_evaluator='
                             f'{evaluator}; expected val_evaluator=[]')
        if max_images is not None and max_images < 1:
            raise WrongValue(f'LabelFreeValLoop: max_images={max_images}; expected at least 1, or '
                             'None for all images')
        if isinstance(dataloader, dict):
            dataset = build_dataset(dataloader, 'validation')
            sampler = ConsecutiveBatches(dataset, dataloader.get('batch_size', 1))
            dataloader = {**dataloader, 'dataset': dataset, 'sampler': sampler}
        super().__init__(runner, dataloader)
        self.evaluator = Evaluator([])
        self.encoder_cfg = dict(stride=stride, out_index=out_index)
        self.recalibrate_bn, self.max_images, self.seed = recalibrate_bn, max_images, seed

    def run(self) -> dict[str, float]:
        """Measure the model as it is now; return the metrics."""
        loader = self.dataloader
        with kept_random_state(), torch.no_grad():
            self.runner.call_hook('before_val')
            self.runner.call_hook('before_val_epoch')
            encoder = FrozenEncoder(self.runner.model, **self.encoder_cfg)
            if self.recalibrate_bn:
                recalibrate_on(encoder, RawImages(loader.dataset, RECALIBRATION_IMAGES),
                               loader.batch_size, loader.num_workers)
            metrics = label_free_metrics(encoder, RawImages(loader.dataset, self.max_images),
                                         self.seed, loader.batch_size, loader.num_workers)
            self.runner.call_hook('after_val_epoch', metrics=metrics)
            self.runner.call_hook('after_val')
        return metrics
