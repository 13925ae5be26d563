"""How much of what cells say is only their place in the view: a share to measure or to lower."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from mmengine.dist import get_world_size
from torch import Tensor

from mmdense.gathering import gather_with_gradient
from mmdense.mistakes import WrongValue


def share_of_sums(sums: Tensor, counts: Tensor, squares: Tensor, by_image: Tensor,
                  images: Tensor | int, least: float = 0.0) -> Tensor:
    """Return the share of the variance of vectors that their place explains, a scalar.

    An analysis of variance with two factors, the place and the image; what chance gives to a mean
    over so many images is taken off. So it is 0 on average for vectors that do not depend on their
    place, and 1 for vectors that depend on nothing else.

    Args:
        sums: (P, C), of each place over the images.
        counts: (P,), vectors of each place.
        squares: the sum of all vectors' squared lengths.
        by_image: the sum over images of the squared length of an image's sum, over its count.
        images: how many.
        least: the variance is taken to be at least this share of the mean squared length.
    """
    cells, places = counts.sum(), (counts > 0).sum()
    common = sums.sum(0).square().sum() / cells
    total = squares - common
    by_place = (sums.square().sum(1) / counts.clamp_min(1)).sum() - common
    freedom = cells - places - images + 1
    noise = (total - by_place - (by_image - common)).clamp_min(0) / freedom
    return (by_place - (places - 1) * noise) / torch.maximum(total, least * squares)


def place_share(maps: Tensor) -> Tensor:
    """Return :func:`share_of_sums` of the unit cells of maps (B, C, h, w) of all processes.

    What ``place_share`` in the training log measures, with a gradient. In float32, also under
    autocast. Slightly below 0 by chance. All processes must have maps of one shape; after DDP's
    averaging the gradient is that of the joined batch.

    Raises:
        ValueError: maps of one cell, or only one image in all.
    """
    if maps.shape[2:].numel() < 2 or len(maps) * get_world_size() < 2:
        raise WrongValue(f'maps {tuple(maps.shape)}: how much the place explains needs at least '
                         '2 cells and 2 images')
    with torch.autocast(maps.device.type, enabled=False):
        dtype = torch.promote_types(maps.dtype, torch.float32)
        cells = F.normalize(maps.flatten(2).to(dtype), dim=1)                      # (B, C, P)
        own = cells.sum(2).square().sum() / cells.shape[2]
        packed = torch.cat([cells.sum(0).t().flatten(), cells.square().sum().view(1), own.view(1)])
        sums, squares, by_image = gather_with_gradient(packed[None]).sum(0).split(
            [cells[0].numel(), 1, 1])
        images = len(cells) * get_world_size()
        counts = cells.new_full(cells.shape[2:], images)
        return share_of_sums(sums.view(cells.shape[2], -1), counts, squares.squeeze(),
                             by_image.squeeze(), images, least=1e-6)
