"""Images pasted onto other images of the batch (CP2, 2203.11709), on their device."""
from __future__ import annotations

import math

import torch
from torch import Tensor

from mmdense.mistakes import WrongValue


def composite(foreground: Tensor, background: Tensor, mask: Tensor) -> Tensor:
    """Return images (B, C, H, W): the foreground where ``mask`` (B, H, W), bool, else the other."""
    return torch.where(mask[:, None], foreground, background)


def random_holes(count: int, size: tuple[int, int], area: tuple[float, float] = (0.5, 0.8),
                 aspect: tuple[float, float] = (0.8, 1.25),
                 device: torch.device | str = 'cpu') -> Tensor:
    """Draw a rectangle in each of ``count`` images, as random erasing does (1708.04896).

    From torch's global generator of the device. A side that would be longer than the image's is
    as long as it.

    Args:
        size: (H, W), pixels.
        area: lowest and highest share of the image, drawn uniformly.
        aspect: lowest and highest height over width, drawn uniformly in its logarithm.

    Returns:
        (count, H, W) bool, True inside.

    Raises:
        ValueError: an ``area`` that is not within (0, 1], or an ``aspect`` not above 0.
    """
    if not 0 < area[0] <= area[1] <= 1 or not 0 < aspect[0] <= aspect[1]:
        raise WrongValue(f'area={area}, aspect={aspect}: expected lowest and highest, an area '
                         'above 0 and up to 1, and an aspect above 0')
    height, width = size
    share, ratio, top, left = torch.rand(4, count, device=device)
    share = (area[0] + share * (area[1] - area[0])) * height * width
    low, high = math.log(aspect[0]), math.log(aspect[1])
    ratio = (low + ratio * (high - low)).exp()
    inside = []
    for length, side, start in ((height, (share * ratio).sqrt(), top),
                                (width, (share / ratio).sqrt(), left)):
        side = side.round().clamp(1, length)
        start = (start * (length - side + 1)).floor()
        pixels = torch.arange(length, device=device)
        inside.append((pixels >= start[:, None]) & (pixels < (start + side)[:, None]))
    return inside[0][:, :, None] & inside[1][:, None]


def draw_others(count: int, device: torch.device | str = 'cpu') -> Tensor:
    """Draw two other images for each of ``count``, (2, count) int64, which differ from each other.

    The batch turned by two different amounts, from torch's global generator of the device: every
    image stands behind another one exactly once.

    Raises:
        ValueError: fewer than three images.
    """
    if count < 3:
        raise WrongValue(f'a batch of {count} image(s) in a process: each is pasted onto two '
                         'others; expected train_dataloader.batch_size of at least 3')
    turns = torch.randperm(count - 1, device=device)[:2] + 1
    return (torch.arange(count, device=device) + turns[:, None]) % count


def mask_at_cells(mask: Tensor, h: int, w: int) -> Tensor:
    """Return (B, h, w): what a mask (B, H, W) has at the pixel in the middle of each cell.

    That is pixel s / 2 of each s where the cells are s pixels wide.
    """
    for dim, cells in ((1, h), (2, w)):
        middles = (2 * torch.arange(cells, device=mask.device) + 1) * mask.shape[dim] // (2 * cells)
        mask = mask.index_select(dim, middles)
    return mask
