"""Location-based instance discrimination: which cells of a batch show the same place?"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from mmengine.dist import get_rank
from torch import Tensor, nn

from mmdense.gathering import gather_rows, gather_with_gradient, share_of_rows
from mmdense.mistakes import WrongValue
from mmdense.registry import MODELS
from mmdense.structures import Views

from ..losses.logsumexp import BlockMask
from ..maps import pool_to_grid
from ..matching import Matches, cell_centres, cell_diagonals, draw_cells
from ..queue import EMPTY
from .base import build
from .two_branch import TwoBranchSSL

#: which other cells of a batch are negatives, see :class:`LocationContrast`
NEGATIVES = ('image', 'batch', 'both')
#: what an instance is, see :class:`LocationContrast`
INSTANCES = ('cells', 'patches')


@dataclass
class Locations:
    """Which N cells were drawn.

    Attributes:
        index: (N,) int64, the image of each; ``EMPTY`` where a cell does not count.
        pair: (N,) int64, the same number for a cell and its positive, and for no others.
        place: (N, 3) float, its centre (x, y) and the diagonal of its view's cells, in source
            pixels.
    """
    index: Tensor
    pair: Tensor
    place: Tensor

    def gather(self) -> Locations:
        """Return those of all processes, in order of rank."""
        return Locations(*map(gather_rows, vars(self).values()))


def location_negatives(rows: Locations, keys: Locations, negatives: str,
                       threshold: float) -> BlockMask:
    """Return the mask of the keys that are negatives of the rows.

    A key of the row's own image counts if it is at least ``threshold`` larger cell diagonals away
    and not of the same pair; whichever view either is of.

    Args:
        negatives: ``'image'``: keys of the same image; ``'batch'``: of other images; ``'both'``.
    """
    def mask(start: int, stop: int) -> Tensor:
        at = slice(start, stop)
        elsewhere = rows.index[:, None] != keys.index[at]
        if negatives == 'batch':
            return elsewhere
        distances = torch.cdist(rows.place[:, :2], keys.place[at, :2],
                                compute_mode='donot_use_mm_for_euclid_dist')
        far = distances >= threshold * torch.maximum(rows.place[:, 2:], keys.place[at, 2])
        far = far & (rows.pair[:, None] != keys.pair[at])
        return far & ~elsewhere if negatives == 'image' else far | elsewhere
    return mask


def split_patches(images: Tensor, side: int) -> Tensor:
    """Cut images (B, C, H, W) into side x side patches, (B side side, C, H / side, W / side).

    Raises:
        ValueError: a side of the images is no multiple of ``side``.
    """
    if any(length % side for length in images.shape[2:]):
        raise WrongValue(f'views of {images.shape[2]} x {images.shape[3]} pixels do not divide '
                         f'into {side} x {side} patches: expected sides that are multiples of '
                         f'num_grid={side}')
    parts = images.unflatten(3, (side, -1)).unflatten(2, (side, -1))
    return parts.permute(0, 2, 4, 1, 3, 5).flatten(0, 2)


@MODELS.register_module()
class LocationContrast(TwoBranchSSL):
    """NT-Xent (2002.05709, eq. 1) whose instances are places of images, not images.

    Each image gives up to ``num_cells`` pairs: a cell of the first view, and what shows the same
    place in the second. Every cell of a pair asks once, and the other is its positive. Negatives
    are the other cells that were drawn, of both views, but for cells of the same image that are
    too near, which show partly the same. Nothing is stopped: keys have a gradient, those of other
    processes too; under a ``twin`` they have none.

    The loss is a mean over the cells that have a positive, of all processes together. Cells
    without one are neither rows nor keys; ``matched`` in the log is the share that has one.

    Args:
        projector: head of the map of cells, (B, C, h, w) -> (B, D, h, w).
        loss: the contrast, with its temperature.
        matcher: how cells are paired, ``mmdense.GeometryMatcher`` by default.
        num_cells: pairs drawn per image, cells that have a partner first.
        num_grid: side of the square grid of cells that the map is pooled to; None keeps the map.
        instances: ``'cells'`` of the map; or ``'patches'``: each of num_grid x num_grid patches of
            the view goes through the encoder by itself, and sees nothing of its surroundings.
        negatives: ``'image'``: other places of the same image; ``'batch'``: the other images, of
            all processes; ``'both'``.
        threshold: cells of the same image nearer than this are no negatives, in larger cell
            diagonals of the two views. 0 leaves only a cell and its positive out.
        twin: arguments of :class:`MomentumTwin`, whose cells are then the keys; None = none.

    Raises:
        ValueError: other ``negatives`` or ``instances``, patches without ``num_grid``,
            ``num_cells`` below 1, or a ``threshold`` below 0.
    """
    heads = ('projector',)
    contrasts_batch = True
    pictures = dict(places=())

    def __init__(self, backbone: dict, projector: dict, loss: dict, matcher: dict | None = None,
                 num_cells: int = 32, num_grid: int | None = None, instances: str = 'cells',
                 negatives: str = 'both', threshold: float = 1.5, **kwargs) -> None:
        super().__init__(backbone, symmetric=True, projector={**projector, 'dense': True},
                         **kwargs)
        for name, given, known in (('negatives', negatives, NEGATIVES),
                                   ('instances', instances, INSTANCES)):
            if given not in known:
                raise WrongValue(f'LocationContrast({name}={given!r}): expected one of {known}')
        if instances == 'patches' and num_grid is None:
            raise WrongValue("LocationContrast(instances='patches') needs num_grid: how many "
                             'patches stand side by side')
        if num_cells < 1 or threshold < 0:
            raise WrongValue(f'LocationContrast(num_cells={num_cells}, threshold={threshold}): '
                             'expected at least 1 cell and a threshold of at least 0')
        self.matcher = build(matcher or dict(type='mmdense.GeometryMatcher'))
        self.contrast = build(loss)
        self.num_cells, self.num_grid, self.instances = num_cells, num_grid, instances
        self.negatives, self.threshold = negatives, threshold

    def cells(self, images: Tensor, net: nn.Module | None = None) -> Tensor:
        """Return the map (B, C, h, w) whose cells are the instances, under ``net`` or itself."""
        if self.instances == 'cells':
            return pool_to_grid(self.encode(images, net), self.num_grid)
        vectors = self.encode(split_patches(images, self.num_grid), net).mean((2, 3))
        return vectors.unflatten(0, (len(images), self.num_grid, -1)).permute(0, 3, 1, 2)

    def loss_map(self, images: Tensor) -> Tensor:
        """Return the map (B, C, h, w) of the instances of images (B, 3, H, W)."""
        return self.cells(images)

    def project(self, net: nn.Module, images: Tensor) -> tuple[Tensor]:
        """Return the projected cells (B, D, h, w) of images under ``net``."""
        return (net.projector(self.cells(images, net)),)

    def loss(self, inputs: list[Tensor], views: Views) -> dict[str, Tensor]:
        """Return the named losses of two views (B, 3, H, W)."""
        online, target = self.branches(inputs, (0, 1), (0, 1))
        return self.objective(*([side[view][0] for view in (0, 1)] for side in (online, target)),
                              views)

    def objective(self, cells: list[Tensor], keys: list[Tensor],
                  views: Views) -> dict[str, Tensor]:
        """Return ``loss_location``, and ``matched``.

        Args:
            cells, keys: of both views (B, D, h, w), what asks and what is compared with.
            views: of both.
        """
        found = self.matcher(*cells, views)
        drawn = draw_cells(found.valid, self.num_cells)
        own, found = Matches(torch.ones_like(drawn, dtype=torch.bool), drawn), found.choose(drawn)

        def pick(maps: list[Tensor]) -> Tensor:
            """(2 B n, D): what was drawn of the first view, then their partners."""
            both = own.take(maps[0].flatten(2)), found.take(maps[1].flatten(2))
            return torch.stack(both).transpose(2, 3).flatten(0, 2)

        valid, rows = found.valid.repeat(2, 1).flatten(), pick(cells)
        targets = rows if self.twin is None else pick(keys)
        here = self.locate(cells, views, found.valid, pick)
        there = here if self.negatives == 'image' else here.gather()
        loss = self.contrast(
            rows, targets.unflatten(0, (2, -1)).flip(0).flatten(0, 1),
            targets if self.negatives == 'image' else gather_with_gradient(targets), valid=valid,
            negative_index=there.index,
            mask=location_negatives(here, there, self.negatives, self.threshold))
        return dict(loss_location=loss * share_of_rows(valid), matched=valid.float().mean())

    def locate(self, cells: list[Tensor], views: Views, valid: Tensor,
               pick: Callable[[list[Tensor]], Tensor]) -> Locations:
        """Return where the drawn cells lie, whose places ``pick`` chooses; (B, n) are valid."""
        places = []
        for one, box, flip in zip(cells, views.boxes, views.flips, strict=True):
            centres = cell_centres(box, flip, *one.shape[2:]).transpose(1, 2)
            diagonals = cell_diagonals(box, *one.shape[2:]).view(-1, 1, 1)
            places.append(torch.cat([centres, diagonals.expand(-1, 1, centres.shape[2])], 1))
        pair = torch.arange(valid.numel(), device=valid.device) + get_rank() * valid.numel()
        index = views.index[:, None].where(valid, EMPTY)
        return Locations(index.repeat(2, 1).flatten(), pair.repeat(2), pick(places))
