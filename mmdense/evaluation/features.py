"""Frozen features of any model: a copy of its encoder, its own normalisation, one map."""
from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence

import torch
from mmengine.dist import all_reduce
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper, revert_sync_batchnorm
from mmseg.models import SegDataPreProcessor
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmdense.models.selfsup.base import DenseSSL

from .dilation import dilate, find_stages


def normalise(preprocessor: nn.Module, images: Tensor) -> Tensor:
    """Return images (B, C, H, W) as the model wants them, float32, on its device.

    ``preprocessor`` is the model's own: ours, mmseg's, mmpretrain's or mmengine's.
    """
    if hasattr(preprocessor, 'normalise'):
        return preprocessor.normalise(images.to(preprocessor.device))
    inputs = list(images) if isinstance(preprocessor, SegDataPreProcessor) else images
    return preprocessor(dict(inputs=inputs, data_samples=None), False)['inputs'].float()


def by_size(images: Sequence[Tensor]) -> Iterable[tuple[list[int], Tensor]]:
    """Group images (C, H, W) of any sizes: yield numbers and a batch (n, C, H, W) per size."""
    groups: dict[torch.Size, list[int]] = {}
    for number, image in enumerate(images):
        groups.setdefault(image.shape, []).append(number)
    for numbers in groups.values():
        yield numbers, torch.stack([images[number] for number in numbers])


def _copy(module: nn.Module) -> nn.Module:
    # a plain BatchNorm gives the same in eval mode, and no process waits for another
    twin = revert_sync_batchnorm(copy.deepcopy(module)).requires_grad_(False)
    twin.zero_grad(set_to_none=True)
    twin.eval()                          # mmseg's ResNet returns None here
    # dilated convolutions take three quarters of the time so on a CPU
    return twin.to(memory_format=torch.channels_last)


def _dilated(backbone: nn.Module, stride: int) -> nn.Module:
    twin = _copy(backbone)
    if not find_stages(twin):
        print_log(f'stride={stride} is for ResNets: {type(backbone).__name__} keeps its own',
                  'current')
        return twin
    dilate(twin, stride)
    return twin


class FrozenEncoder(nn.Module):
    """A copy of a model's encoder in eval mode, from uint8 images to one feature map.

    The backbone and, in a :class:`DenseSSL` that has one, the decode head; never momentum twins
    or queues. The model itself is not touched.

    Args:
        model: any model with ``backbone`` and ``data_preprocessor``, in a wrapper or not.
        stride: largest stride of a ResNet's map in pixels, reached by dilation; None = its own.
            Other backbones keep their own.
        out_index: which map: of a ResNet the stage (0 to 3 = C2 to C5, whatever its
            ``out_indices``), else the place in the tuple that the backbone returns. -1 = last.

    Raises:
        ValueError: no backbone; a stride out of reach; a map the backbone does not give, or one
            that is no map (a class token).
    """

    def __init__(self, model: nn.Module, stride: int | None = None, out_index: int = -1) -> None:
        super().__init__()
        model = model.module if is_model_wrapper(model) else model
        if not isinstance(getattr(model, 'backbone', None), nn.Module):
            raise ValueError(f'{type(model).__name__} has no backbone to take features from')
        self.backbone = _dilated(model.backbone, stride) if stride else _copy(model.backbone)
        head = model.decode_head if isinstance(model, DenseSSL) else None
        self.decode_head = None if head is None else _copy(head)
        self.preprocessor = model.data_preprocessor
        self.out_index = out_index
        self._stage_maps: list[Tensor] = []
        if self.decode_head is None:
            for stage in find_stages(self.backbone):
                stage.register_forward_hook(lambda _, __, out: self._stage_maps.append(out))

    @property
    def device(self) -> torch.device:
        """Where its maps are."""
        return next(self.backbone.parameters()).device

    def forward(self, images: Tensor) -> Tensor:
        """Return the map (B, C, h, w), float32, of raw images (B, 3, H, W) of any dtype."""
        return self.layers(images, (self.out_index,))[0]

    @torch.no_grad()
    def layers(self, images: Tensor, indices: Sequence[int]) -> list[Tensor]:
        """Return several maps (B, C_i, h_i, w_i), float32, of raw images, from one pass.

        Args:
            images: (B, 3, H, W) of any dtype.
            indices: which maps, as ``out_index``.

        Raises:
            ValueError: a map that the backbone does not give, or one that is no map.
        """
        self._stage_maps.clear()
        maps = self.backbone(normalise(self.preprocessor, images))
        if self.decode_head is not None:
            maps = self.decode_head(maps)
        maps = self._stage_maps or ([maps] if isinstance(maps, Tensor) else maps)
        self._stage_maps = []
        return [self._chosen(maps, index) for index in indices]

    def _chosen(self, maps: Sequence[Tensor], index: int) -> Tensor:
        name = type(self.backbone).__name__
        if not -len(maps) <= index < len(maps):
            raise ValueError(f'out_index={index}: {name} gives {len(maps)} map(s); '
                             "choose one of these or set the backbone's out_indices")
        chosen = maps[index]
        if not isinstance(chosen, Tensor) or chosen.ndim != 4:
            shape = tuple(chosen.shape) if isinstance(chosen, Tensor) else type(chosen).__name__
            raise ValueError(f'{name} gives {shape}, a map (B, C, h, w) is needed: a vision '
                             "transformer of mmpretrain needs out_type='featmap'")
        if getattr(getattr(self.backbone, 'timm_model', None), 'output_fmt', None) == 'NHWC':
            chosen = chosen.permute(0, 3, 1, 2)      # timm's Swin
        return chosen.float()


@torch.no_grad()
def recalibrate_bn(encoder: FrozenEncoder, batches: Iterable[Sequence[Tensor]]) -> None:
    """Re-estimate BatchNorm statistics as the plain average over batches of clean images.

    Every process passes its own batches; the average is over those of all.

    Args:
        encoder: changed in place, left in eval mode.
        batches: lists of raw images (3, H, W); those of one size are one batch.
    """
    norms = [m for m in encoder.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    if not norms:
        return
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None                         # torch: cumulative average
        norm.train()
    for images in batches:
        for _, batch in by_size(images):
            encoder(batch)
    for norm in norms:
        count = norm.num_batches_tracked.double()
        sums = torch.cat([norm.running_mean.double() * count, norm.running_var.double() * count,
                          count[None]])
        all_reduce(sums)
        mean, var = (sums[:-1] / sums[-1].clamp(min=1)).chunk(2)
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(var)
        norm.eval()
