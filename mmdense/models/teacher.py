"""A frozen network that is learnt from: any backbone with its own weights, input and maps."""
from __future__ import annotations

import logging
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from torch import Tensor, nn

from mmdense.digests import digest, tensors_digest
from mmdense.mistakes import WrongValue

from .building import build
from .maps import backbone_maps, choose_map


def whole_patches(side: int, patch: int) -> int:
    """Return the least multiple of ``patch`` that is at least ``side``."""
    return -(-side // patch) * patch


def patch_of(backbone: nn.Module) -> int:
    """Return the side of a transformer's patches in pixels; 1 of a network without."""
    sides = [getattr(module, 'patch_size', 1) for module in backbone.modules()]
    return max(max(side) if isinstance(side, (tuple, list)) else side or 1 for side in sides)


class Teacher(nn.Module):
    """A backbone with frozen weights that gives maps of images a student's preprocessor made.

    Its weights belong to its file: they are in no checkpoint of the student.

    Args:
        backbone: config of any backbone of mmseg, mmpretrain or timm.
        checkpoint: any file that :class:`mmdense.PretrainedBackbone` reads. None: it cannot teach
            until one is named.
        prefix: of the tensors in the file, as of ``PretrainedBackbone``.
        levels: which of its maps are learnt from, by their place.
        mean, std: that it was trained with, on the images' scale (0-255).
        bands: which channels of what the student sees are its channels, in its order. None: all.
        size: (h, w) or one number, to which its input is resized (bilinear). None: as it comes.
            A transformer's patch has to divide it: what it does not divide is enlarged to the next
            multiple, and the log says so.
        name, licence: of the weights, for the checkpoints of students. Default: the file's name,
            and ``'unknown'``.

    Raises:
        ValueError: the file does not fit, the backbone has no such map, or ``mean``, ``std`` and
            ``bands`` differ in length.
    """

    def __init__(self, backbone: dict, checkpoint: str | None = None, prefix: str | None = None,
                 levels: Sequence[int] = (-1,), mean: Sequence[float] = (123.675, 116.28, 103.53),
                 std: Sequence[float] = (58.395, 57.12, 57.375), bands: Sequence[int] | None = None,
                 size: int | Sequence[int] | None = None, name: str | None = None,
                 licence: str = 'unknown') -> None:
        super().__init__()
        if len(mean) != len(std) or min(std, default=0) <= 0 or \
                (bands is not None and len(bands) != len(mean)):
            raise WrongValue(f'teacher: mean={list(mean)}, std={list(std)}, bands={bands}: '
                             'expected as many numbers of each, std above 0')
        if not levels:
            raise WrongValue('teacher: levels is empty; expected the place of one map or more')
        self.checkpoint, self.levels = checkpoint, tuple(levels)
        self.name, self.licence = name or str(checkpoint), licence
        self.bands = None if bands is None else tuple(bands)
        self.size = (size, size) if isinstance(size, int) else None if size is None else tuple(size)
        self.register_buffer('mean', torch.tensor(mean).float().view(1, -1, 1, 1))
        self.register_buffer('std', torch.tensor(std).float().view(1, -1, 1, 1))
        self.backbone = build({**backbone, 'init_cfg': dict(
            type='mmdense.PretrainedBackbone', checkpoint=checkpoint, prefix=prefix)})
        if checkpoint is not None:
            self.backbone.init_weights()
        self.patch = patch_of(self.backbone)
        self.told = False
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> Teacher:
        """Stay in eval mode."""
        return super().train(False)

    def check(self) -> None:
        """Raise ValueError unless it has weights to teach with."""
        if self.checkpoint is None:
            raise WrongValue('the teacher has random weights: name its file, '
                             'model.teacher.checkpoint=FILE')

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        """Return (h, w) of what the backbone sees of an image (height, width)."""
        wanted = self.size or (height, width)
        taken = tuple(whole_patches(side, self.patch) for side in wanted)
        if taken != wanted and not self.told:
            self.told = True
            print_log(f'the teacher has patches of {self.patch} pixels, which do not divide an '
                      f'input of {wanted}: it sees {taken} (resized); teacher.size sets another',
                      'current', logging.WARNING)
        return taken

    @torch.no_grad()
    def forward(self, images: Tensor, mean: Tensor, std: Tensor) -> list[Tensor]:
        """Return the maps (B, D_l, h_l, w_l) of its levels.

        Args:
            images: (B, C, H, W), normalised with the student's ``mean`` and ``std`` (1, C, 1, 1).

        Raises:
            ValueError: other channels than it has numbers for, a size that the backbone does not
                take, or a level that it has not.
        """
        images = images * std + mean
        if self.bands is not None:
            images = torch.stack([images[:, band] for band in self.bands], 1)   # no index to send
        if images.shape[1] != self.mean.numel():
            raise WrongValue(f'the teacher sees {images.shape[1]} channels and has '
                             f'{self.mean.numel()} numbers of mean and std: teacher.bands chooses '
                             'its channels of the images')
        size = self.input_size(*images.shape[2:])
        if size != images.shape[2:]:
            images = F.interpolate(images, size, mode='bilinear', align_corners=False)
        return self.maps((images - self.mean) / self.std)

    def maps(self, images: Tensor) -> list[Tensor]:
        """Return the maps (B, D_l, h_l, w_l) of images (B, C, H, W) as the backbone takes them.

        Raises:
            ValueError: a size that the backbone does not take, or a level that it has not.
        """
        try:
            maps = backbone_maps(self.backbone, images)
        except AssertionError as error:               # timm's words for a size it was not made for
            raise WrongValue(f'the teacher does not take an input of {tuple(images.shape[2:])}: '
                             f'{error}; teacher.size sets it, or give the backbone its img_size'
                             ) from None
        return [choose_map(self.backbone, maps, level) for level in self.levels]

    def shapes(self, height: int, width: int) -> list[tuple[int, int, int]]:
        """Return (D, h, w) of each level's map of an image (height, width)."""
        black = torch.zeros(1, self.mean.numel(), *self.input_size(height, width),
                            device=self.mean.device)
        return [tuple(one.shape[1:]) for one in self.maps(black)]

    def key(self, bgr_to_rgb: bool) -> str:
        """Return the sha256 of all that makes its maps: weights, structure, input, levels.

        Args:
            bgr_to_rgb: of the preprocessor that makes the images it sees, the student's.
        """
        return digest(tensors_digest(self), str(self.backbone), self.bands, self.size, self.levels,
                      bgr_to_rgb)

    def note(self) -> dict[str, str]:
        """Return what a student's checkpoint says of it."""
        return dict(name=self.name, licence=self.licence, checkpoint=str(self.checkpoint))
