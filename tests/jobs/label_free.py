"""Measure an encoder without labels; the job of one process of several."""
from __future__ import annotations

import torch
from mmengine.registry import MODELS, DefaultScope
from references import labelled, planted  # noqa: F401

from mmdense.evaluation.datasets import build_dataset
from mmdense.evaluation.features import FrozenEncoder
from mmdense.evaluation.label_free import label_free_metrics
from mmdense.evaluation.sources import RawImages


def label_free_job(cfg, rank, world):
    with DefaultScope.overwrite_default_scope('mmseg'):
        torch.manual_seed(5)
        encoder = FrozenEncoder(MODELS.build(labelled.RESNET), 8)
        images = RawImages(build_dataset(dict(dataset=cfg), 'validation'))
        return label_free_metrics(encoder, images, seed=2, batch_size=2)
