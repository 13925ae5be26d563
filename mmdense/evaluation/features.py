"""Frozen features of any model: a copy of its encoder, its own normalisation, one map."""
from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from mmengine.dist import all_reduce
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper, revert_sync_batchnorm
from mmseg.models import SegDataPreProcessor
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmdense.mistakes import WrongValue
from mmdense.models.maps import backbone_maps, choose_map
from mmdense.models.selfsup.base import DenseSSL, trained_index

from .dilation import coarsen, dilate, find_stages

#: BatchNorm statistics need no more memory images than these
RECALIBRATION_IMAGES = 1024


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Eval mode inside; each module's own mode afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def normalise(preprocessor: nn.Module, images: Tensor) -> Tensor:
    """Return images (B, C, H, W) as the model wants them, float32, on its device.

    ``preprocessor`` is the model's own: ours, mmseg's, mmpretrain's or mmengine's.
    """
    if hasattr(preprocessor, 'normalise'):
        return preprocessor.normalise(images.to(preprocessor.device))
    inputs = list(images) if isinstance(preprocessor, SegDataPreProcessor) else images
    return preprocessor(dict(inputs=inputs, data_samples=None), False)['inputs'].float()


def by_size(images: Sequence[Tensor]) -> Iterable[tuple[list[int], Tensor]]:
    """Group images (C, H, W) by size: yield their indices and a batch (n, C, H, W) per size."""
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
    if find_stages(twin):
        dilate(twin, stride)
    return twin


class FrozenEncoder(nn.Module):
    """A copy of a model's encoder in eval mode, from uint8 images to one feature map.

    The backbone and, in a :class:`DenseSSL` that has one, the decode head; never momentum twins
    or queues. The model itself is not touched.

    Args:
        model: any model with ``backbone`` and ``data_preprocessor``, in a wrapper or not.
        stride: of the maps in pixels; None and 0 = the network's own. A coarser map of a ResNet
            becomes finer by dilation (other networks keep theirs), a finer one of any network is
            averaged.
        out_index: which map: its place in the tuple that the backbone returns, or ``'C2'`` to
            ``'C5'`` for a ResNet's stages, whatever it returns. None = the one that the model
            learns on, see :func:`~mmdense.models.selfsup.base.trained_index`.

    Raises:
        ValueError: no backbone; a stride out of reach; a map the backbone does not give, or one
            that is no map (a class token).
    """

    def __init__(self, model: nn.Module, stride: int | None = None,
                 out_index: int | str | None = None) -> None:
        super().__init__()
        if stride is not None and stride < 0:
            raise WrongValue(f"stride={stride}: expected pixels, or 0 for the network's own")
        model = model.module if is_model_wrapper(model) else model
        if not isinstance(getattr(model, 'backbone', None), nn.Module):
            raise WrongValue(f'{type(model).__name__} has no backbone to take features from')
        self.backbone = _dilated(model.backbone, stride) if stride else _copy(model.backbone)
        head = model.decode_head if isinstance(model, DenseSSL) else None
        self.decode_head = None if head is None else _copy(head)
        self.preprocessor = model.data_preprocessor
        self.out_index = trained_index(model) if out_index is None else out_index
        self.stride, self._told = stride, not stride
        self._stage_maps: list[Tensor] = []
        if self.decode_head is None:
            for stage in find_stages(self.backbone):
                stage.register_forward_hook(lambda _, __, out: self._stage_maps.append(out))

    @property
    def device(self) -> torch.device:
        """Where its maps are."""
        return next(self.backbone.parameters()).device

    @property
    def stages(self) -> list[str]:
        """The names of a ResNet's stages, ``C2`` to ``C5``; of others none."""
        found = [] if self.decode_head is not None else find_stages(self.backbone)
        return [f'C{number + 2}' for number in range(len(found))]

    def extra_repr(self) -> str:
        return f'stride={self.stride}'

    def forward(self, images: Tensor) -> Tensor:
        """Return the map (B, C, h, w), float32, of raw images (B, 3, H, W) of any dtype."""
        return self.layers(images, (self.out_index,))[0]

    @torch.no_grad()
    def layers(self, images: Tensor, indices: Sequence[int | str]) -> list[Tensor]:
        """Return several maps (B, C_i, h_i, w_i), float32, of raw images, from one pass.

        Args:
            images: (B, 3, H, W) of any dtype.
            indices: which maps, as ``out_index``.

        Raises:
            ValueError: a map that the backbone does not give, or one that is no map.
        """
        self._stage_maps.clear()
        maps = backbone_maps(self.backbone, normalise(self.preprocessor, images))
        if self.decode_head is not None:
            maps = self.decode_head([maps] if isinstance(maps, Tensor) else maps)
        stages = dict(zip(self.stages, self._stage_maps, strict=False))
        self._stage_maps = []
        return [self._at_stride(self._chosen(maps, stages, index), images.shape[2:])
                for index in indices]

    def _chosen(self, maps: Tensor | list[Tensor], stages: dict[str, Tensor],
                index: int | str) -> Tensor:
        if isinstance(index, int):
            return choose_map(self.backbone, maps, index).float()
        if index not in stages:
            known = f"; expected {', '.join(stages)}, or" if stages else ', no ResNet; expected'
            raise WrongValue(f'out_index={index!r}: the backbone is {type(self.backbone).__name__}'
                             f'{known} the place of a map')
        return stages[index].float()

    def _at_stride(self, features: Tensor, image: torch.Size) -> Tensor:
        averaged = coarsen(features, image, self.stride) if self.stride else features
        own = round(image[0] / features.shape[2])
        if averaged is not features:
            self._tell(f'maps of stride {own} are averaged to stride={self.stride}')
        elif self.stride and round(own / self.stride) > 1:
            self._tell(f'{type(self.backbone).__name__} keeps its stride {own}: stride='
                       f'{self.stride} makes maps of ResNets finer, and averages those that are '
                       'finer')
        return averaged

    def _tell(self, text: str) -> None:
        if not self._told:
            print_log(text, 'current')
        self._told = True


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
