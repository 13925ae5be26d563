"""A learned combination of a backbone's blocks as its map (Doersch & Zisserman, 1708.07860)."""
from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmdense.mistakes import WrongValue
from mmdense.registry import MODELS

from .building import BlackImage, build


def unit_scale(maps: Tensor) -> Tensor:
    """Return maps (B, C, h, w), each image's divided by the root of the mean of its squares."""
    squares = maps.float().square().mean((1, 2, 3), keepdim=True)
    return maps / squares.clamp_min(1e-12).sqrt().to(maps.dtype)


@MODELS.register_module()
class CombinedBackbone(BaseModule):
    """A backbone whose one map is ``sum_m alpha_m N(block_m(x))``, alpha learnt (lasso, sec. 4.2).

    Blocks are modules of the backbone, by their names. N divides each image's map by its root
    mean square, so that no block counts more for being larger. Maps are resized (bilinear) to the
    size of the last block named. All alphas begin at 1 / M. ``mmdense.LassoHook`` shrinks them
    towards 0 after each step (:meth:`shrink`), where they then are 0 exactly.

    As the backbone of a stock segmentor it lets a decoder learn its own combination; weights are
    loaded by ``init_cfg`` of the inner backbone, whose keys are ``backbone.backbone.*``.

    Args:
        backbone: config of any backbone, or the module.
        blocks: names of modules inside it, such as ``'layer3.0'``.
        channels: None where all blocks have as many channels; else a 1 x 1 convolution brings each
            to this number.
        shared: the backbone belongs to somebody else, who saves and trains it.

    Raises:
        ValueError: no blocks, a name twice or one that the backbone does not have, or blocks of
            different channels without ``channels``.
    """

    def __init__(self, backbone: dict | nn.Module, blocks: Sequence[str],
                 channels: int | None = None, shared: bool = False,
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        backbone = build(backbone)
        known = dict(backbone.named_modules())
        wrong = [name for name in blocks if name not in known or not name]
        if wrong or not blocks or len(set(blocks)) < len(blocks):
            raise WrongValue(f'CombinedBackbone(blocks={list(blocks)}): expected different names '
                             f'of modules of {type(backbone).__name__}, such as layer3.0' + (
                                 f'; it has no {wrong[0]!r}' if wrong else ''))
        if shared:
            self.__dict__['backbone'] = backbone
        else:
            self.backbone = backbone
        self.blocks = tuple(blocks)
        maps = BlackImage(dict(backbone=backbone)).ask(
            lambda net, image: self.outputs(net.backbone, image))
        found = [one.shape[1] for one in maps]
        if channels is None and len(set(found)) > 1:
            raise WrongValue(f'CombinedBackbone: the blocks {list(blocks)} have {found} channels; '
                             'expected blocks with as many, or channels=, to which each is brought')
        self.bring = nn.ModuleList(
            nn.Identity() if channels is None else nn.Conv2d(one, channels, 1) for one in found)
        self.alpha = nn.Parameter(torch.full((len(blocks),), 1 / len(blocks)))

    def train(self, mode: bool = True) -> CombinedBackbone:
        """Set the mode of this and of its backbone."""
        super().train(mode)
        self.backbone.train(mode)
        return self

    def outputs(self, net: nn.Module, images: Tensor) -> list[Tensor]:
        """Return what each block of ``net`` gives of images (B, 3, H, W), maps (B, C, h, w).

        Raises:
            ValueError: a block gives no map.
        """
        modules, seen = dict(net.named_modules()), {}
        hooks = [modules[name].register_forward_hook(
            lambda _, args, out, name=name: seen.update({name: out})) for name in self.blocks]
        try:
            net(images)
        finally:
            for hook in hooks:
                hook.remove()
        for name in self.blocks:
            if not isinstance(seen.get(name), Tensor) or seen[name].ndim != 4:
                raise WrongValue(f'block {name} of {type(net).__name__} gives no map '
                                 '(B, C, h, w); expected a block such as layer3.0')
        return [seen[name] for name in self.blocks]

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """Return the combination (B, C, h, w) of images (B, 3, H, W), alone in a tuple."""
        maps = self.outputs(self.backbone, images)
        size = maps[-1].shape[2:]
        total = 0
        for weight, bring, one in zip(self.alpha, self.bring, maps, strict=True):
            part = unit_scale(bring(one))
            if part.shape[2:] != size:
                part = F.interpolate(part, size, mode='bilinear', align_corners=False)
            total = total + weight * part
        return (total,)

    @torch.no_grad()
    def shrink(self, amount: float) -> None:
        """Move each alpha by ``amount`` towards 0, and not beyond: the proximal step of L1."""
        left = (self.alpha.abs() - amount).clamp_min(0)
        self.alpha.copy_(torch.where(left > 0, self.alpha.sign() * left, 0))
