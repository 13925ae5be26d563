"""Regions that come with the images: made, read or taken from labels in the pipeline."""
from __future__ import annotations

from torch import Tensor, nn

from mmdense.mistakes import WrongValue
from mmdense.registry import MODELS
from mmdense.structures import Views

from ..region_pooling import cells_by_majority
from .owners import CellRegions


@MODELS.register_module()
class GivenRegions(nn.Module):
    """Each cell belongs to the region of most of its pixels, see :func:`cells_by_majority`.

    Raises:
        ValueError: there are no region maps beside the views.
    """
    #: whether the third view, of the whole image, is looked at
    whole_image = False

    def forward(self, maps: list[Tensor], whole: Tensor | None, views: Views) -> list[CellRegions]:
        """Return the regions of each view.

        Args:
            maps: (B, C, h, w) of each view, for its size.
            whole: not used.
            views: with region maps (B, H, W) of each view.
        """
        if views.regions is None:
            raise WrongValue('the images have no regions; expected mmdense.LoadRegions, '
                             'mmdense.MakeRegions or mmdense.RegionsFromAnnotations before '
                             'mmdense.MultiView in the pipeline (docs/regions.md), or a model with '
                             "regions=dict(type='mmdense.ClusteredRegions') or SoftRegions")
        return [CellRegions(cells_by_majority(regions, *features.shape[2:], views.num_regions))
                for features, regions in zip(maps, views.regions, strict=False)]
