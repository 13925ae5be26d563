"""What a cell learns of the other cells of its map before it is compared."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmdense.mistakes import WrongValue
from mmdense.registry import MODELS


@MODELS.register_module()
class PixelPropagation(BaseModule):
    """Every cell becomes a sum of all cells of its map, by how alike they are (PixPro, eq. 2).

    ``y_i = sum_j max(cos(x_i, x_j), 0)^gamma g(x_j) / |g(x_j)|`` (2011.10043, sec. 3.2; the length
    of g as in the authors' program). The similarities are in float32, also under autocast.

    Args:
        in_channels: channels C.
        gamma: sharpness of the similarity.
        num_layers: of g, 1x1 convolutions with BatchNorm and ReLU between them; 0 is the identity.
        norm_cfg: the norm between two layers.

    Raises:
        ValueError: ``gamma`` not above 0, or ``num_layers`` below 0.
    """

    def __init__(self, in_channels: int, gamma: float = 2.0, num_layers: int = 1,
                 norm_cfg: dict | None = None, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        if not gamma > 0 or num_layers < 0:
            raise WrongValue(f'PixelPropagation(gamma={gamma}, num_layers={num_layers}): expected '
                             'gamma above 0 and at least 0 layers')
        self.in_channels = self.out_channels = in_channels
        self.gamma = gamma
        self.value = nn.Identity() if num_layers == 0 else MODELS.build(dict(
            type='mmdense.Projector', in_channels=in_channels, hidden_channels=in_channels,
            out_channels=in_channels, num_layers=num_layers, dense=True, norm_cfg=norm_cfg))

    def forward(self, x: Tensor) -> Tensor:
        """Return the propagated cells (B, C, h, w) of a map of that shape."""
        values = self.value(x).flatten(2)
        with torch.autocast(x.device.type, enabled=False):
            dtype = torch.promote_types(x.dtype, torch.float32)
            unit = F.normalize(x.flatten(2).to(dtype), dim=1)
            alike = (unit.transpose(1, 2) @ unit).clamp_min(0) ** self.gamma      # (B, N, N)
            return (F.normalize(values.to(dtype), dim=1) @ alike).view(x.shape)
