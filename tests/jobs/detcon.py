"""Jobs of the tests of DetCon's loss, each run as ``job(rank, world)``."""
from __future__ import annotations

import torch

from mmdense.models.losses import detcon_nce


def batch(images=4, samples=5, dim=6):
    """Four features (B, R, D) and four ids (B, R); ids of a view are the same on both sides."""
    g = torch.Generator().manual_seed(3)
    features = [torch.randn(images, samples, dim, generator=g) for _ in range(4)]
    ids = [torch.randint(0, 4, (images, samples), generator=g) for _ in range(2)]
    return features, [*ids, *ids]


def loss_job(gather_grad, negative_group, rank, world):
    features, ids = batch()
    rows = slice(rank * 4 // world, (rank + 1) * 4 // world)
    features = [x[rows].clone().requires_grad_() for x in features]
    loss = detcon_nce(*features, *(x[rows] for x in ids), gather_grad=gather_grad,
                      negative_group=negative_group)
    loss.backward()
    return loss.item(), [None if x.grad is None else x.grad / world for x in features]
