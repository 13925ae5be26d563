"""What a cell learns of the other cells of its map before it is compared.

Such a neck stands behind the projector of cells, on the asking side alone. Its learned layer on
cells is ``value``; with ``words`` and ``table`` a picture shows them too.
"""
from __future__ import annotations

import torch
import torch.nn.functional as F
from mmengine.dist import all_reduce
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmdense.mistakes import WrongValue
from mmdense.registry import MODELS


def cell_layers(channels: int, num_layers: int, norm_cfg: dict | None = None) -> nn.Module:
    """Return 1x1 convolutions (B, C, h, w) -> (B, C, h, w), norm and ReLU between; 0 = identity."""
    return nn.Identity() if num_layers == 0 else MODELS.build(dict(
        type='mmdense.Projector', in_channels=channels, hidden_channels=channels,
        out_channels=channels, num_layers=num_layers, dense=True, norm_cfg=norm_cfg))


def add_context(method: nn.Module, cfg: dict | None, channels: int) -> None:
    """Give a method its ``context``, and the picture of it; without ``cfg`` cells stay as they are.

    Args:
        channels: of the projected cells.

    Raises:
        ValueError: the neck takes other channels, or gives others.
    """
    if cfg is None:
        method.context = nn.Identity()
        return
    given = cfg.get('in_channels', channels)
    if given != channels:
        raise WrongValue(f'{type(method).__name__}: context.in_channels={given}, but the projected '
                         f'cells have {channels}; expected {channels}, or leave it out')
    method.context = MODELS.build({**cfg, 'in_channels': channels})
    method.pictures = {**method.pictures, 'context': ('context', 'projector')}


def window_sums(maps: Tensor, radius: int) -> Tensor:
    """Return the sums (B, C, h, w) of each cell's neighbours in a map (B, C, h, w).

    Neighbours are the other cells of a square of 2 r + 1 cells; there are none beyond the border.
    """
    side = 2 * radius + 1
    whole = F.avg_pool2d(maps, side, 1, radius, divisor_override=1)
    return whole - maps


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
        self.value = cell_layers(in_channels, num_layers, norm_cfg)

    def forward(self, x: Tensor) -> Tensor:
        """Return the propagated cells (B, C, h, w) of a map of that shape."""
        values = self.value(x).flatten(2)
        with torch.autocast(x.device.type, enabled=False):
            dtype = torch.promote_types(x.dtype, torch.float32)
            unit = F.normalize(x.flatten(2).to(dtype), dim=1)
            alike = (unit.transpose(1, 2) @ unit).clamp_min(0) ** self.gamma      # (B, N, N)
            return (F.normalize(values.to(dtype), dim=1) @ alike).view(x.shape)


@MODELS.register_module()
class NeighbourContext(BaseModule):
    """Every cell is joined with the mean of its neighbours, ``y_i = x_i + g(mean_j x_j)``.

    Neighbours are the other cells of a square of 2 r + 1 cells; beyond the border there are none,
    so the mean does not tell where a cell is. In a map of one cell ``y = x + g(0)``.

    Args:
        in_channels: channels C.
        radius: r, in cells.
        num_layers: of g, see :class:`PixelPropagation`.
        norm_cfg: the norm between two layers.

    Raises:
        ValueError: ``radius`` below 1, or ``num_layers`` below 0.
    """

    def __init__(self, in_channels: int, radius: int = 1, num_layers: int = 1,
                 norm_cfg: dict | None = None, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        if radius < 1 or num_layers < 0:
            raise WrongValue(f'NeighbourContext(radius={radius}, num_layers={num_layers}): '
                             'expected a radius of at least 1 and at least 0 layers')
        self.in_channels = self.out_channels = in_channels
        self.radius = radius
        self.value = cell_layers(in_channels, num_layers, norm_cfg)

    def forward(self, x: Tensor) -> Tensor:
        """Return the joined cells (B, C, h, w) of a map of that shape."""
        count = window_sums(torch.ones_like(x[:1, :1]), self.radius).clamp_min(1)
        return x + self.value(window_sums(x, self.radius) / count)


@MODELS.register_module()
class CooccurrenceContext(BaseModule):
    """Every cell is joined with the codeword that is to be expected around it.

    A cell is shared out over K learnt codewords, ``a_ik = softmax_k(cos(x_i, c_k) / T)``. A table
    (K, K) keeps how often two codewords stand within r cells, ``sum_i sum_j a_ik a_jl`` over the
    neighbours j of i (as :class:`NeighbourContext`'s), as a mean over past steps and over all
    processes; it has no gradient. With its rows divided by their sums, P(l | k),
    ``y_i = x_i + g(sum_k a_ik sum_l P(l | k) c_l)``. The shares are in float32, also under
    autocast.

    Args:
        in_channels: channels C.
        num_words: K.
        radius: r, in cells.
        temperature: T.
        momentum: of the table, in the papers' sense: 0.99 keeps 99 % of the old counts.
        num_layers: of g, see :class:`PixelPropagation`.
        norm_cfg: the norm between two layers.

    Raises:
        ValueError: fewer than 2 words, ``radius`` below 1, ``temperature`` not above 0,
            ``momentum`` outside [0, 1), or ``num_layers`` below 0.
    """

    def __init__(self, in_channels: int, num_words: int = 32, radius: int = 1,
                 temperature: float = 0.1, momentum: float = 0.99, num_layers: int = 1,
                 norm_cfg: dict | None = None, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        if num_words < 2 or radius < 1 or not temperature > 0 or not 0 <= momentum < 1 \
                or num_layers < 0:
            raise WrongValue(
                f'CooccurrenceContext(num_words={num_words}, radius={radius}, temperature='
                f'{temperature}, momentum={momentum}, num_layers={num_layers}): expected at least '
                '2 words, a radius of at least 1, a temperature above 0, a momentum from 0 to '
                'below 1 and at least 0 layers')
        self.in_channels = self.out_channels = in_channels
        self.radius, self.temperature, self.momentum = radius, temperature, momentum
        self.codewords = nn.Parameter(F.normalize(torch.randn(num_words, in_channels)))
        self.value = cell_layers(in_channels, num_layers, norm_cfg)
        self.register_buffer('table', torch.zeros(num_words, num_words))

    def words(self, x: Tensor) -> Tensor:
        """Return the shares (B, K, h, w) of the codewords in the cells of a map (B, C, h, w)."""
        with torch.autocast(x.device.type, enabled=False):
            unit = F.normalize(x.float(), dim=1).flatten(2)
            alike = F.normalize(self.codewords.float(), dim=1) @ unit
            return (alike / self.temperature).softmax(1).unflatten(2, x.shape[2:])

    @torch.no_grad()
    def count(self, words: Tensor) -> None:
        """Take the counts of shares (B, K, h, w) into the table; all processes do so together."""
        around = window_sums(words, self.radius).flatten(2)
        with torch.autocast(words.device.type, enabled=False):
            counts = torch.einsum('bkn,bln->kl', words.flatten(2), around)
        all_reduce(counts)
        share = counts / counts.sum().clamp_min(1e-6)
        started = self.table.sum() > 0
        self.table.copy_(torch.where(
            started, self.momentum * self.table + (1 - self.momentum) * share, share))

    def expected(self) -> Tensor:
        """Return P(l | k), (K, K): which codewords stand around codeword k; each row sums to 1."""
        return self.table / self.table.sum(1, keepdim=True).clamp_min(1e-12)

    def forward(self, x: Tensor) -> Tensor:
        """Return the joined cells (B, C, h, w) of a map; while training, count first."""
        words = self.words(x)
        if self.training:
            self.count(words.detach())
        with torch.autocast(x.device.type, enabled=False):
            around = (self.expected() @ self.codewords.float()).t() @ words.flatten(2)
        return x + self.value(around.view(x.shape).to(x.dtype))
