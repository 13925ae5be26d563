"""DetCon_S and DetCon_B: contrast of regions (Henaff et al., ICCV 2021, arXiv 2103.10957)."""
from __future__ import annotations

import torch
from torch import Tensor, nn

from mmdense.mistakes import WrongValue
from mmdense.registry import MODELS
from mmdense.structures import Views

from ..cell_regions import CellRegions, balance_of
from ..region_pooling import sample_regions
from .base import build
from .two_branch import TwoBranchSSL


def project_regions(net: nn.Module, maps: list[Tensor], found: list[CellRegions],
                    ids: list[Tensor]) -> list[Tensor]:
    """Return ``net.projector`` of the mean features of regions, (B, R, D) for each view.

    Pooled first, projected after: the projector's BatchNorm sees all B R vectors of a view.

    Args:
        maps: (B, C, h, w) of each view.
        found: what owns the cells of each view.
        ids: (B, R) of each view.
    """
    return [net.projector(regions.pool(features, wanted).flatten(0, 1)).unflatten(0, wanted.shape)
            for features, regions, wanted in zip(maps, found, ids, strict=True)]


class DetCon(TwoBranchSSL):
    """What both have in common; see :func:`mmdense.models.losses.detcon_nce` for the contrast.

    Each view's map is pooled over R of its regions, drawn with replacement from those that own a
    cell there (torch's generator, which ``mmdense.IterationSeedHook`` sets from seed, iteration
    and rank). Positive: the same region of the other view. Negatives: all other regions of both
    views of all images, those of the same image included. A region that the other view does not
    show has weight 0, so the loss is lower where views share less.

    Args:
        projector: head of pooled features, (B R, C) -> (B R, D).
        loss: config of ``mmdense.DetConLoss``.
        regions: what owns the cells: ``mmdense.GivenRegions`` (region maps of the pipeline),
            ``ClusteredRegions`` (needs a third view of the whole image) or ``SoftRegions``.
        num_samples: R.
        two_views: False takes the first view for both sides (an ablation of the paper).
    """
    heads = ('projector', 'regions')
    contrasts_batch = True
    pictures = dict(regions=('regions',))

    def __init__(self, backbone: dict, loss: dict, regions: dict | None = None,
                 num_samples: int = 16, two_views: bool = True, **kwargs) -> None:
        super().__init__(backbone, regions=regions or dict(type='mmdense.GivenRegions'), **kwargs)
        if num_samples < 1:
            raise WrongValue(f'num_samples={num_samples}: expected at least 1 region per view')
        self.contrast = build(loss)
        self.num_samples, self.two_views = num_samples, two_views

    def project(self, net: nn.Module, images: Tensor) -> tuple[Tensor]:
        """Return the map (B, C, h, w) of images under ``net``."""
        return (self.encode(images, net),)

    @property
    def num_views(self) -> int:
        """Two, and where regions need it a third one of the whole image."""
        return 3 if self.regions.whole_image else 2

    @property
    def order(self) -> tuple[int, ...]:
        """The number of the view on either side, and maybe of the whole image."""
        return (0, 1 if self.two_views else 0, 2)[:self.num_views]

    def choose(self, inputs: list[Tensor], views: Views) -> tuple[list[Tensor], Views]:
        """Return the views in their :attr:`order`, with their geometry."""
        return [inputs[view] for view in self.order], views.take(self.order)

    def bare(self, inputs: list[Tensor]) -> list[Tensor]:
        """Return the maps of both sides, and what the heads make of as many vectors as regions."""
        sides = [inputs[view] for view in self.order[:2]]
        maps = [self.encode(view) for view in sides]
        shape = len(sides[0]) * self.num_samples, maps[0].shape[1]
        rows = [self.projector(maps[0].new_zeros(shape).normal_()) for _ in sides]
        for name in self.own_heads:
            rows = [getattr(self, name)(one) for one in rows]
        if self.twin is not None:
            with torch.no_grad():
                for view in sides:
                    self.encode(view, self.twin)
                    self.twin.projector(maps[0].new_zeros(shape).normal_())
        return [*maps, *rows]

    def draw(self, net: nn.Module, maps: list[Tensor], whole: Tensor | None,
             views: Views) -> tuple[list[CellRegions], list[Tensor]]:
        """Return the regions of each view under ``net``, and R ids (B, R) drawn from each."""
        found = net.regions(maps, whole, views)
        return found, [sample_regions(one.cells, self.num_samples) for one in found]

    def compare(self, pred: list[Tensor], target: list[Tensor], ids: list[Tensor],
                own: list[CellRegions]) -> dict[str, Tensor]:
        """Return ``loss_region``, and ``loss_balance`` of learnt regions."""
        losses = dict(loss_region=self.contrast(*pred, *target, *ids, *ids))
        if own[0].weights is not None:
            losses['loss_balance'] = self.regions.balance_weight * balance_of(own)
        return losses


@MODELS.register_module()
class DetConS(DetCon):
    """DetCon on SimCLR's frame: one network for both sides, with gradient through both.

    Keys come from all processes with gradient (``loss.gather_grad=True``). Nothing is stopped but
    what owns a cell and which regions are drawn. With ``ClusteredRegions`` the whole image goes
    through the same network, whose BatchNorm statistics then see it too; DetCon_B has its twin.
    """

    def loss(self, inputs: list[Tensor], views: Views) -> dict[str, Tensor]:
        """Return the named losses of two views (B, 3, H, W), and maybe the whole image."""
        images, views = self.choose(inputs, views)
        with torch.no_grad():
            whole = self.encode(images[2]) if images[2:] else None
        maps, _ = self.branches(images, (0, 1), (0, 1))
        return self.objective([maps[0][0], maps[1][0]], whole, views)

    def objective(self, maps: list[Tensor], whole: Tensor | None,
                  views: Views) -> dict[str, Tensor]:
        """Return the losses from the maps (B, C, h, w) of both views, and of the whole image."""
        found, ids = self.draw(self, maps, whole, views)
        vectors = project_regions(self, maps, found, ids)
        return self.compare(vectors, vectors, ids, found)


@MODELS.register_module()
class DetConB(DetCon):
    """DetCon on BYOL's frame: predictions against a momentum twin, by contrast, not regression.

    Everything of the twin is without gradient, keys of other processes too. Its regions decide
    which ids are drawn; where regions are learnt, each side pools with its own weights.

    Args:
        predictor: from D to D, of the online side only.
        twin: arguments of :class:`MomentumTwin`.
    """
    own_heads = ('predictor',)

    def __init__(self, twin: dict, **kwargs) -> None:
        super().__init__(twin=twin, **kwargs)

    def loss(self, inputs: list[Tensor], views: Views) -> dict[str, Tensor]:
        """Return the named losses of two views (B, 3, H, W), and maybe the whole image."""
        images, views = self.choose(inputs, views)
        online, target = self.branches(images, (0, 1), range(len(images)))
        maps, targets = ([features for features, in side.values()] for side in (online, target))
        return self.objective(maps, targets[:2], targets[2] if targets[2:] else None, views)

    def objective(self, maps: list[Tensor], targets: list[Tensor], whole: Tensor | None,
                  views: Views) -> dict[str, Tensor]:
        """Return the losses from both networks' maps (B, C, h, w), and the twin's of the whole."""
        with torch.no_grad():
            found, ids = self.draw(self.twin, targets, whole, views)
            keys = project_regions(self.twin, targets, found, ids)
        learnt = found[0].weights is not None
        own = self.regions(maps, whole, views) if learnt else found
        pred = [self.predictor(rows.flatten(0, 1)).view_as(rows)
                for rows in project_regions(self, maps, own, ids)]
        return self.compare(pred, keys, ids, own)
