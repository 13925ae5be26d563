"""A DenseCL small enough to train in a test, and views for it."""
from __future__ import annotations

import torch
from mmengine.registry import MODELS, DefaultScope

import mmdense  # noqa: F401
from mmdense.structures import Views

BACKBONE = dict(type='ResNet', depth=18, num_stages=4, out_indices=(3,), base_channels=8,
                norm_cfg=dict(type='BN'), zero_init_residual=False)


def config(**changes) -> dict:
    head = dict(type='mmdense.Projector', in_channels=64, hidden_channels=32, out_channels=16)
    return {**dict(
        type='mmdense.DenseCL', backbone=BACKBONE, projector=head, dense_projector=head,
        queue=dict(size=24), twin=dict(momentum=0.9, bn='plain'), dense_warmup=0,
        loss=dict(type='mmdense.InfoNCE', temperature=0.2),
        matcher=dict(type='mmdense.SimilarityMatcher'),
        data_preprocessor=dict(type='BaseDataPreprocessor')), **changes}


def build(**changes):
    with DefaultScope.overwrite_default_scope('mmseg'):
        return MODELS.build(config(**changes))


def views_of(index: torch.Tensor) -> Views:
    batch = len(index)
    return Views(boxes=torch.tensor([0., 0, 64, 64]).expand(2, batch, 4), regions=None,
                 flips=torch.zeros(2, batch, dtype=torch.bool), index=index)
