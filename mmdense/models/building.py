"""Build components by their configs, and ask copies of them what they give."""
from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import DefaultScope
from torch import Tensor, nn

from mmdense.registry import MODELS


def build(cfg: dict | nn.Module) -> nn.Module:
    """Build a component; a name without scope is mmseg's, also outside a runner."""
    if isinstance(cfg, nn.Module):
        return cfg
    current = DefaultScope.get_current_instance()
    with DefaultScope.overwrite_default_scope(current.scope_name if current else 'mmseg'):
        return MODELS.build(cfg)


class BlackImage:
    """A copy of an encoder in eval mode, and a small black image (1, C, H, W) to ask it with.

    So no buffer, mode or random state of the encoder changes. The image is on the encoder's own
    device, ``meta`` too, has the channels of the first convolution, and the size that a
    transformer was made for (``img_size``), else 64 pixels.

    Args:
        parts: the modules of the encoder by name, ``backbone`` among them.

    Attributes:
        shape: of the image.
    """

    def __init__(self, parts: dict[str, nn.Module]) -> None:
        self.net = nn.Module()
        for name, module in parts.items():
            copied = revert_sync_batchnorm(copy.deepcopy(module))
            copied.eval()                        # mmseg's ResNet returns None here
            self.net.add_module(name, copied)
        sizes = (m.img_size for m in self.net.modules()
                 if isinstance(getattr(m, 'img_size', None), (int, tuple, list)))
        size = next(sizes, 64)
        side = (size, size) if isinstance(size, int) else tuple(size)
        # a CombinedBackbone's own convolutions stand behind those of the backbone inside it
        first = getattr(self.net.backbone, 'backbone', self.net.backbone)
        bands = next((m.in_channels for m in first.modules() if isinstance(m, nn.Conv2d)), 3)
        self.shape = (1, bands, *side)

    def ask(self, run: Callable[[nn.Module, Tensor], Any]) -> Any:
        """Return ``run(copy, image)``, without gradient."""
        device = next((p.device for p in self.net.parameters()), torch.device('cpu'))
        cards = [device] if device.type == 'cuda' else []
        with torch.no_grad(), torch.random.fork_rng(cards):
            return run(self.net, torch.zeros(self.shape, device=device))
