"""Statistics of the features in the training log."""
from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor, nn

from mmdense.models.selfsup.base import encode, trained_index
from mmdense.random_states import kept_random_state
from mmdense.registry import HOOKS
from mmdense.structures import Views

from .feature_statistics import (
    correspondence_accuracy,
    places_in_second_view,
    positive_negative_similarity,
    spread_of,
)
from .features import evaluating
from .place_share import feature_place_share

#: images of a batch that are looked at
LARGEST_BATCH = 64
#: cells per side that are looked at: the cost grows with their fourth power
LARGEST_SIDE = 32


def looked_at(features: Tensor) -> Tensor:
    """Return a map (B, C, h, w) averaged to at most 32 cells per side."""
    sides = [min(side, LARGEST_SIDE) for side in features.shape[2:]]
    return features if sides == list(features.shape[2:]) else F.adaptive_avg_pool2d(features, sides)


def batch_statistics(model: nn.Module, inputs: list[Tensor],
                     views: Views | None) -> dict[str, float]:
    """Return the statistics of the trained maps of a batch's first two views.

    What cannot be measured is left out; of features that are not finite all is nan.
    Maps of more than 32 cells per side are averaged first.

    Args:
        model: has ``backbone`` and maybe ``decode_head``; is in eval mode.
        inputs: V normalised views (B, C, H, W).
        views: their geometry; without it only what needs none is measured.
    """
    first, *others = (looked_at(encode(model, images[:LARGEST_BATCH], trained_index(model)))
                      for images in inputs[:2])
    found = dict(**spread_of(first), place_share=feature_place_share(first))
    if others and views is not None:
        places, visible = places_in_second_view(views, first, others[0])
        positive, negative = positive_negative_similarity(first, others[0], places, visible)
        found.update(positive_similarity=positive, negative_similarity=negative,
                     correspondence_accuracy=100 * correspondence_accuracy(first, others[0],
                                                                           places, visible))
    if not all(bool(maps.isfinite().all()) for maps in (first, *others)):
        return dict.fromkeys(found, math.nan)
    return {name: float(value) for name, value in found.items()
            if not math.isnan(float(value))}


@HOOKS.register_module()
class FeatureMonitorHook(Hook):
    """Log statistics of the current batch's features, by the weights as they are.

    ``feature_std``, ``effective_rank``, ``positive_similarity``, ``negative_similarity`` and
    ``correspondence_accuracy`` in per cent (see :mod:`mmdense.evaluation.feature_statistics`), and
    ``place_share``, of the place in the view (:mod:`mmdense.evaluation.place_share`), go with the
    losses to the log line and the visualisation backends. In eval mode, by the first
    process; neither weights nor random state change. All are nan where features are not finite.
    Of a batch by task (:class:`mmdense.MultiTask`) they are those of each task, ``NAME.…``.

    Args:
        interval: iterations between two measurements; the log's own interval fits.
    """
    priority = 'NORMAL'      # before the logger

    def __init__(self, interval: int = 50) -> None:
        self.interval = interval

    @master_only
    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                         outputs: dict | None = None) -> None:
        if not self.every_n_train_iters(runner, self.interval):
            return
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        with kept_random_state(), torch.no_grad(), evaluating(model):
            data = model.data_preprocessor(data_batch, False)
            inputs, views = data['inputs'], data['data_samples']
            if isinstance(inputs, dict):        # of several tasks
                found = {f'{task}.{name}': value for task in inputs for name, value in
                         batch_statistics(model, inputs[task], views[task]).items()}
            else:
                found = batch_statistics(model, [inputs] if isinstance(inputs, Tensor) else inputs,
                                         views if isinstance(views, Views) else None)
        for name, value in found.items():
            runner.message_hub.update_scalar(f'train/{name}', value)
