"""Turns what a backbone returns into maps (B, C, h, w), and chooses one of them."""
from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmdense.mistakes import WrongValue


def _proportional(height: int, width: int, image: torch.Size) -> bool:
    """Return whether a map's sides are those of an image (H, W), divided, to one cell."""
    return abs(height * image[1] - width * image[0]) <= max(image)


def channels_first(backbone: nn.Module, features: Tensor, image: torch.Size) -> Tensor:
    """Return a map (B, C, h, w) of one that may be (B, h, w, C), as timm's Swin gives it.

    A timm network says which it is. Of others the sides tell, which are those of the image
    (H, W) divided by the stride; where both orders fit, channels come first.
    """
    declared = getattr(getattr(backbone, 'timm_model', backbone), 'output_fmt', None)
    one, two, three = features.shape[1:]
    if declared is None:
        last = _proportional(one, two, image) and not _proportional(two, three, image)
    else:
        last = str(getattr(declared, 'value', declared)) == 'NHWC'
    return features.permute(0, 3, 1, 2) if last else features


def turn_maps(backbone: nn.Module, given: Tensor | Sequence, image: torch.Size
              ) -> Tensor | list[Tensor]:
    """Return what a backbone gave of images of sides (H, W), each map as (B, C_i, h_i, w_i).

    One map where it returned a tensor, else the list of them. What is no map (a class token, a
    grid of tokens) stays as it is.
    """
    turned = [channels_first(backbone, one, image)
              if isinstance(one, Tensor) and one.ndim == 4 else one
              for one in ([given] if isinstance(given, Tensor) else given)]
    return turned[0] if isinstance(given, Tensor) else turned


def backbone_maps(backbone: nn.Module, images: Tensor) -> Tensor | list[Tensor]:
    """Return :func:`turn_maps` of what a backbone gives of images (B, C, H, W)."""
    return turn_maps(backbone, backbone(images), images.shape[2:])


def choose_map(backbone: nn.Module, maps: Tensor | Sequence[Tensor], index: int) -> Tensor:
    """Return the map (B, C, h, w) at ``index`` of what :func:`backbone_maps` gave.

    A map alone is the one, whatever ``index`` says: PIDNet and DDRNet give it alone in eval mode,
    and auxiliary ones beside it in training.

    Raises:
        ValueError: there is none at that place, or it is no map.
    """
    name = type(backbone).__name__
    if isinstance(maps, Tensor):
        maps, index = [maps], 0
    if not -len(maps) <= index < len(maps):
        raise WrongValue(f'out_index={index}: {name} gives {len(maps)} map(s); '
                         "choose one of these or set the backbone's out_indices")
    chosen = maps[index]
    if not isinstance(chosen, Tensor) or chosen.ndim != 4:
        shape = tuple(chosen.shape) if isinstance(chosen, Tensor) else type(chosen).__name__
        raise WrongValue(f'{name} gives {shape}, a map (B, C, h, w) is needed: a vision '
                         "transformer of mmpretrain needs out_type='featmap', one of timm "
                         'features_only=True')
    return chosen


def pool_to_grid(features: Tensor, side: int | None) -> Tensor:
    """Return a map (B, C, h, w) averaged to side x side cells; None keeps it as it is."""
    return features if side is None else F.adaptive_avg_pool2d(features, side)
