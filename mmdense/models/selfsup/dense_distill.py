"""Distillation of dense features: a student's cells learn what a frozen teacher says of them."""
from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod

import torch
from torch import Tensor, nn

from mmdense.mistakes import WrongValue
from mmdense.registry import MODELS
from mmdense.structures import Views
from mmdense.teacher_maps import TeacherMaps

from ..matching import read_at
from ..teacher import Teacher
from .base import DenseSSL, build, encode_maps, map_channels


def check_teacher(method: DenseDistill, args: tuple, kwargs: dict) -> None:
    """Before a training forward: :meth:`DenseDistill.check_teacher`, outside a compiled graph."""
    if method.training and 'loss' in (*args[2:], kwargs.get('mode')):
        method.check_teacher()


@MODELS.register_module()
class DenseDistill(DenseSSL):
    """Maps of the student, through a 1 x 1 projector, against a frozen teacher's at the same place.

    The student sees the first view. The teacher sees the second (as the configs have it, the whole
    image in its own colours) and its maps are read at the centres of the student's cells, bilinear
    (:func:`read_at`); or it sees the first view itself; or its maps of the whole image come from
    files, and it does not run. Cells that the teacher's view does not show do not count;
    ``outside`` in the log is their share. No gradient reaches the teacher, and its weights are in
    no checkpoint. ``loss_distill``, with several levels ``loss_distill0``, …: the losses say what
    is a mean over what; two processes give the loss and gradients of the joined batch.

    Args:
        backbone: config of the student's.
        teacher: arguments of :class:`Teacher`.
        loss: of the student's map (B, D, h, w), the teacher's and the cells that count (B, h w):
            ``mmdense.StandardisedCosineLoss``, ``CellCosineLoss``, ``KernelAlignmentLoss`` or
            ``GramLoss``. The last two take maps of different channels, without projector.
        projector: config of a head of a map, with its own copy for each level; ``in_channels``
            and ``out_channels`` are the student's and the teacher's. None: maps as they are.
        levels: which of the student's maps learn, by their place, as many as ``teacher.levels``.
        cache: folder that ``tools/cache_teacher.py`` wrote; ``mmdense.LoadTeacherMaps`` is then in
            the view's pipeline. None: the teacher runs in each step.
        num_views: 2: the teacher sees the second view. 1: it sees the first. By default 2, and 1
            with ``cache``.
        kwargs: what :class:`DenseSSL` takes.

    Raises:
        ValueError: levels of different number, a map that the student has not, 2 views with a
            cache, or a cache of other levels.
    """
    num_views = 2

    def __init__(self, backbone: dict, teacher: dict, loss: dict, projector: dict | None = None,
                 levels: Sequence[int] = (-1,), cache: str | None = None,
                 num_views: int | None = None, **kwargs) -> None:
        super().__init__(backbone, **kwargs)
        self.num_views = num_views or (2 if cache is None else 1)
        if self.num_views not in (1, 2) or (cache is not None and self.num_views != 1):
            raise WrongValue(f'DenseDistill(num_views={num_views}, cache={cache!r}): expected 1 or '
                             '2, with a cache 1')
        # outside the modules: it is saved, wrapped and optimised with none of them
        self.__dict__['teacher'] = Teacher(**teacher)
        self.levels = tuple(levels)
        if len(self.levels) != len(self.teacher.levels):
            raise WrongValue(f'DenseDistill(levels={list(levels)}): the teacher has '
                             f'{len(self.teacher.levels)} level(s), {list(self.teacher.levels)}; '
                             'expected as many of each')
        self.cache = cache
        self.shapes = self.teacher.shapes(64, 64) if cache is None else \
            TeacherMaps.open(cache).shapes
        self.projectors = None
        if projector is not None:
            given = map_channels(self, self.levels)
            self.projectors = nn.ModuleList(
                build({**copy.deepcopy(projector), 'in_channels': channels,
                       'out_channels': shape[0], 'dense': True})
                for channels, shape in zip(given, self.shapes, strict=True))
        self.criterion = build(loss)
        self.checked = False
        self.register_forward_pre_hook(check_teacher, with_kwargs=True)

    def _apply(self, fn: Callable, recurse: bool = True) -> DenseDistill:
        """Move the teacher along."""
        self.teacher._apply(fn, recurse)
        return super()._apply(fn, recurse)

    def check_teacher(self) -> None:
        """Look at the teacher once, before the first step.

        Raises:
            ValueError: it has no weights, or the cache is another teacher's.
        """
        if self.checked:
            return
        self.teacher.check()
        if self.cache is not None:
            note = TeacherMaps.open(self.cache).note
            if note['key'] != self.teacher.key(self.data_preprocessor.bgr_to_rgb):
                raise WrongValue(f'{self.cache} has the maps of another teacher or input '
                                 f'({note["name"]}, size {note["size"]}): expected those of '
                                 f'{self.teacher.name}, size {self.teacher.size}')
            self.teacher.backbone = None            # its maps are there
        self.checked = True

    def loss_map(self, images: Tensor) -> Tensor:
        """Return the map (B, C, h, w) of images (B, 3, H, W) with the fewest cells that learn."""
        return min(encode_maps(self, images, self.levels), key=lambda one: one.shape[2:].numel())

    def unsaved(self) -> list[nn.Module]:
        """Return the teacher, which has no backbone any more once its maps come from files."""
        return [self.teacher]

    def project(self, images: Tensor) -> list[Tensor]:
        """Return the student's maps (B, D_l, h_l, w_l) of images (B, 3, H, W)."""
        maps = encode_maps(self, images, self.levels)
        self.note(images, maps[-1], self)
        if self.projectors is None:
            return maps
        return [head(one) for head, one in zip(self.projectors, maps, strict=True)]

    def taught(self, images: Tensor) -> list[Tensor]:
        """Return the teacher's maps (B, D_l, h_l, w_l) of images (B, 3, H, W), without gradient."""
        mean, std = (getattr(self.data_preprocessor, name, None) for name in ('mean', 'std'))
        if mean is None:                                # it does not normalise
            mean, std = images.new_zeros(()), images.new_ones(())
        return self.teacher(images, mean, std)

    def cached(self, views: Views) -> tuple[list[Tensor], Tensor, Tensor]:
        """Return the teacher's maps from files, and the boxes and flips of what they show.

        Raises:
            ValueError: the view has none, or others, or the size of the image is not known.
        """
        rows = None if views.targets is None else views.targets[0]
        lengths = [prod(shape) for shape in self.shapes]
        if rows is None or rows.shape[1:] != (sum(lengths),) or views.sizes is None:
            what = 'none' if rows is None else f'{tuple(rows.shape[1:])} numbers an image'
            raise WrongValue(f'DenseDistill(cache={self.cache!r}): the view has {what}; expected '
                             f'{sum(lengths)}, from mmdense.LoadTeacherMaps of that folder at the '
                             "end of the view's pipeline")
        maps = [part.unflatten(1, shape).float() for part, shape
                in zip(rows.split(lengths, 1), self.shapes, strict=True)]
        whole = views.sizes.flip(1).to(views.boxes.dtype)
        box = torch.cat([torch.zeros_like(whole), whole], 1)
        return maps, box, torch.zeros_like(views.flips[0])

    def random_targets(self, inputs: list[Tensor], views: Views) -> Views:
        """Return views with random maps of the teacher, where they come from files."""
        if self.cache is None:
            return views
        images = inputs[0]
        rows = torch.randn(len(images), sum(map(prod, self.shapes)), device=images.device)
        return replace(views, targets=[rows.half()])

    def bare(self, inputs: list[Tensor]) -> list[Tensor]:
        """Return the student's projected maps; run the teacher, too, unless its maps are there."""
        if self.cache is None:
            self.taught(inputs[-1])
        return self.project(inputs[0])

    def loss(self, inputs: list[Tensor], views: Views) -> dict[str, Tensor]:
        """Return what :meth:`objective` makes of the student's view and the teacher's (B, 3, H, W).

        Raises:
            ValueError: as of :meth:`cached`.
        """
        own = self.project(inputs[0])
        if self.cache is None:
            maps, box, flip = self.taught(inputs[-1]), views.boxes[-1], views.flips[-1]
        else:
            maps, box, flip = self.cached(views)
        return self.objective(own, maps, (views.boxes[0], box), (views.flips[0], flip))

    def objective(self, own: list[Tensor], maps: list[Tensor], boxes: tuple[Tensor, Tensor],
                  flips: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """Return ``loss_distill`` of each level, and ``outside``; views without overlap lose 0.

        Args:
            own, maps: of each level the student's map (B, D, h, w) and the teacher's.
            boxes: (B, 4) of the student's view and of the teacher's, half-open source pixels.
            flips: (B,) bool of both.

        Raises:
            ValueError: the teacher's map has a gradient, or the channels do not fit the loss.
        """
        losses, outside = {}, []
        for number, (student, teacher) in enumerate(zip(own, maps, strict=True)):
            if teacher.requires_grad:
                raise WrongValue('DenseDistill: the map of the teacher has a gradient; expected '
                                 'one of a frozen network')
            read, valid = read_at(teacher.float(), boxes, flips, tuple(student.shape[2:]))
            name = 'loss_distill' if len(own) == 1 else f'loss_distill{number}'
            losses[name] = self.criterion(student, read, valid)
            outside.append(1 - valid.float().mean())
        return {**losses, 'outside': torch.stack(outside).mean()}
