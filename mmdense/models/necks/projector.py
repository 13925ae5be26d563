"""The MLP between a backbone and a loss, on vectors or on every cell of a map."""
from __future__ import annotations

from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmdense.registry import MODELS


@MODELS.register_module()
class Projector(BaseModule):
    """Linear layers with ReLU between them; a predictor is the same thing.

    The published heads of MoCo v2 and DenseCL are two layers without norm (2011.09157, sec. 3.2).

    Args:
        in_channels: channels C that come in.
        hidden_channels: channels of every layer but the last.
        out_channels: channels D that go out.
        num_layers: number of linear layers.
        dense: False for vectors (B, C) -> (B, D), True for maps (B, C, h, w) -> (B, D, h, w).
        norm_cfg: norm between a hidden layer and its ReLU, None for none.
        last_bias: whether the last layer has a bias.
    """

    def __init__(self, in_channels: int, hidden_channels: int = 2048, out_channels: int = 128,
                 num_layers: int = 2, dense: bool = False, norm_cfg: dict | None = None,
                 last_bias: bool = True, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        if norm_cfg is not None and norm_cfg['type'] == 'BN' and not dense:
            norm_cfg = {**norm_cfg, 'type': 'BN1d'}
        widths = [in_channels, *[hidden_channels] * (num_layers - 1), out_channels]
        layers: list[nn.Module] = []
        for i in range(num_layers):
            last = i == num_layers - 1
            bias = last_bias if last else norm_cfg is None
            layers.append(nn.Conv2d(widths[i], widths[i + 1], 1, bias=bias) if dense
                          else nn.Linear(widths[i], widths[i + 1], bias=bias))
            if not last and norm_cfg is not None:
                layers.append(build_norm_layer(norm_cfg, widths[i + 1])[1])
            if not last:
                layers.append(nn.ReLU(inplace=True))
        self.layers = nn.Sequential(*layers)
        self.in_channels, self.out_channels = in_channels, out_channels

    def forward(self, x: Tensor) -> Tensor:
        """Project (B, C) or, where dense, (B, C, h, w)."""
        return self.layers(x)
