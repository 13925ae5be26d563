"""Where the cells of a view lie in the source image, and which cells of another view are there."""
from __future__ import annotations

import torch
from torch import Tensor, nn

from mmdense.mistakes import WrongValue
from mmdense.registry import MODELS
from mmdense.structures import Views

from .matches import Matches

#: how :class:`GeometryMatcher` pairs cells
PAIRS = ('nearest', 'distance', 'overlap')


def cell_centres(boxes: Tensor, flips: Tensor, h: int, w: int, anchor: float = 0.5) -> Tensor:
    """Return the centres of the h x w cells of views, in source pixels.

    Args:
        boxes: (B, 4) float, half-open source pixels (x0, y0, x1, y1).
        flips: (B,) bool, True where the view is mirrored left to right.
        anchor: the point of a cell that stands for it, as a fraction of the cell from its upper
            left corner in the view: 0.5 is the centre. A strided convolution with symmetric
            padding looks, on sides of even length, at the corner: 0. In the source image that
            is the other side of the cell where the view is mirrored.

    Returns:
        (B, h*w, 2) float (x, y), row by row. A pixel's own centre is at +0.5.
    """
    rows = (torch.arange(h, device=boxes.device, dtype=boxes.dtype) + anchor) / h
    columns = (torch.arange(w, device=boxes.device, dtype=boxes.dtype) + anchor) / w
    columns = torch.where(flips[:, None], 1 - columns, columns)                       # (B, w)
    start, extent = boxes[:, None, :2], boxes[:, None, 2:] - boxes[:, None, :2]
    grid = torch.stack([columns[:, None].expand(-1, h, -1),
                        rows[None, :, None].expand(len(boxes), -1, w)], dim=-1)
    return start + grid.flatten(1, 2) * extent


def cell_coordinates(points: Tensor, boxes: Tensor, flips: Tensor, h: int, w: int) -> Tensor:
    """Return where source points lie in the h x w cells of views, in cells.

    The inverse of :func:`cell_centres`: the centre of the cell in row i and column j is (j, i).

    Args:
        points: (B, N, 2) source pixels (x, y).
        boxes: (B, 4) half-open source pixels.
        flips: (B,) bool.

    Returns:
        (B, N, 2) float (column, row); below -0.5 or above w - 0.5, h - 0.5 outside the view.
    """
    start, extent = boxes[:, None, :2], boxes[:, None, 2:] - boxes[:, None, :2]
    x, y = ((points - start) / extent).unbind(-1)
    x = torch.where(flips[:, None], 1 - x, x)
    return torch.stack([x * w - 0.5, y * h - 0.5], dim=-1)


def visible_in(points: Tensor, boxes: Tensor) -> Tensor:
    """Return (B, N) bool: which source points (B, N, 2) lie in the half-open boxes (B, 4)."""
    return ((points >= boxes[:, None, :2]) & (points < boxes[:, None, 2:])).all(-1)


def cell_diagonals(boxes: Tensor, h: int, w: int) -> Tensor:
    """Return (B,) the diagonals of the h x w cells of views, in the units of the boxes (B, 4)."""
    width, height = (boxes[:, 2:] - boxes[:, :2]).unbind(1)
    return torch.hypot(width / w, height / h)


def cell_distances(boxes: tuple[Tensor, Tensor], flips: tuple[Tensor, Tensor],
                   sizes: tuple[tuple[int, int], tuple[int, int]], anchor: float = 0.5) -> Tensor:
    """Return the distances of the cells of two views, over the larger cell diagonal of the two.

    PixPro (2011.10043, eq. 1). 1 is as far as opposite corners of the larger cell.

    Args:
        boxes: of each view (B, 4), half-open source pixels.
        flips: of each view (B,) bool.
        sizes: (h, w) of each view's map.
        anchor: as of :func:`cell_centres`.

    Returns:
        (B, N, M) float, N cells of the first view and M of the second, row by row.
    """
    query, key = (cell_centres(box, flip, *size, anchor)
                  for box, flip, size in zip(boxes, flips, sizes, strict=True))
    diagonals = torch.maximum(*(cell_diagonals(box, *size)
                                for box, size in zip(boxes, sizes, strict=True)))
    # a product of matrices would lose the small distances of large coordinates
    distances = torch.cdist(query, key, compute_mode='donot_use_mm_for_euclid_dist')
    return distances / diagonals[:, None, None]


def _shared_lengths(boxes: tuple[Tensor, Tensor], flips: tuple[Tensor, Tensor],
                    counts: tuple[int, int], axis: int) -> Tensor:
    """Return (B, n, m): how long the strips are that n and m cells share along an axis."""
    ends = []
    for box, flip, count in zip(boxes, flips, counts, strict=True):
        edges = torch.arange(count + 1, device=box.device, dtype=box.dtype) / count
        if axis == 0:
            edges = torch.where(flip[:, None], 1 - edges, edges)
        edges = box[:, axis, None] + edges * (box[:, axis + 2] - box[:, axis])[:, None]
        ends.append((torch.minimum(edges[:, :-1], edges[:, 1:]),
                     torch.maximum(edges[:, :-1], edges[:, 1:])))
    (low, high), (other_low, other_high) = ends
    return (torch.minimum(high[:, :, None], other_high[:, None])
            - torch.maximum(low[:, :, None], other_low[:, None])).clamp_min(0)


def cell_overlaps(boxes: tuple[Tensor, Tensor], flips: tuple[Tensor, Tensor],
                  sizes: tuple[tuple[int, int], tuple[int, int]]) -> Tensor:
    """Return (B, N, M) the areas that the cells of two views share, in source pixels.

    Args:
        boxes, flips, sizes: as of :func:`cell_distances`.
    """
    (h, w), (other_h, other_w) = sizes
    columns = _shared_lengths(boxes, flips, (w, other_w), 0)
    rows = _shared_lengths(boxes, flips, (h, other_h), 1)
    areas = rows[:, :, None, :, None] * columns[:, None, :, None, :]
    return areas.flatten(3, 4).flatten(1, 2)


@MODELS.register_module()
class GeometryMatcher(nn.Module):
    """Pair the cells of two views that show the same place of the image.

    Args:
        pairs: ``'nearest'``: of the cells whose centre lies in the key view, each with the key
            cell that holds it. ``'distance'``: each with all key cells nearer than ``threshold``,
            in equal shares. ``'overlap'``: each with all key cells that it overlaps, in shares of
            the area.
        threshold: for ``'distance'``, in larger cell diagonals (:func:`cell_distances`).
        published: for ``'distance'``: fractions of each axis of the image instead of pixels, as
            PixPro has it. In images that are not square, distances are then other ones.
        cell_anchor: ``anchor`` of :func:`cell_centres`, for ``'nearest'`` and ``'distance'``.

    Raises:
        ValueError: another ``pairs``, a threshold of 0 or below, or an option that these ``pairs``
            do not use.
    """

    def __init__(self, pairs: str = 'nearest', threshold: float = 0.7, published: bool = False,
                 cell_anchor: float = 0.5) -> None:
        super().__init__()
        if pairs not in PAIRS:
            raise WrongValue(f'GeometryMatcher(pairs={pairs!r}): expected one of {PAIRS}')
        if not threshold > 0:
            raise WrongValue(f'GeometryMatcher(threshold={threshold}): expected above 0')
        unused = [name for name, changed, users in (
            ('threshold', threshold != 0.7, ('distance',)), ('published', published, ('distance',)),
            ('cell_anchor', cell_anchor != 0.5, ('nearest', 'distance')))
            if changed and pairs not in users]
        if unused:
            raise WrongValue(f'GeometryMatcher(pairs={pairs!r}) does not use {", ".join(unused)}')
        self.pairs, self.threshold, self.published = pairs, threshold, published
        self.cell_anchor = cell_anchor

    @torch.no_grad()
    def near(self, query: Tensor, key: Tensor, views: Views) -> Tensor:
        """Return (B, N, M) bool, which cells of two maps are nearer than ``threshold``.

        Raises:
            ValueError: ``published``, and the views do not say how large their images are.
        """
        boxes, flips = tuple(views.boxes[:2]), tuple(views.flips[:2])
        if self.published:
            boxes = tuple(image_fractions(box, views.sizes) for box in boxes)
        return cell_distances(boxes, flips, (tuple(query.shape[2:]), tuple(key.shape[2:])),
                              self.cell_anchor) < self.threshold

    @torch.no_grad()
    def forward(self, query: Tensor, key: Tensor, views: Views) -> Matches:
        """Return the matches of maps (B, C, h, w) and (B, C', h', w') of two views.

        Raises:
            ValueError: as of :meth:`near`.
        """
        boxes, flips = tuple(views.boxes[:2]), tuple(views.flips[:2])
        sizes = tuple(query.shape[2:]), tuple(key.shape[2:])
        if self.pairs == 'nearest':
            centres = cell_centres(boxes[0], flips[0], *sizes[0], self.cell_anchor)
            places = cell_coordinates(centres, boxes[1], flips[1], *sizes[1])
            places = places + 0.5 - self.cell_anchor     # which anchor is nearest, not which cell
            column, row = places.round().long().unbind(-1)
            index = (row.clamp(0, sizes[1][0] - 1) * sizes[1][1]
                     + column.clamp(0, sizes[1][1] - 1))
            return Matches(visible_in(centres, boxes[1]), index)
        shares = cell_overlaps(boxes, flips, sizes) if self.pairs == 'overlap' \
            else self.near(query, key, views).float()
        total = shares.sum(2)
        return Matches(total > 0, weights=shares / total.clamp_min(1e-6)[..., None])


def image_fractions(boxes: Tensor, sizes: Tensor | None) -> Tensor:
    """Return boxes (B, 4) of source pixels as fractions of each axis of images (B, 2), (H, W).

    Raises:
        ValueError: the sizes are not known.
    """
    if sizes is None:
        raise WrongValue("fractions of an image's axes need its size, and these views have none: "
                         'mmdense.PackViews takes it from img_shape of the results')
    return boxes / sizes.flip(1).repeat(1, 2)
