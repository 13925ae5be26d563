"""CP2: copy-paste contrastive pretraining of an encoder-decoder (Wang et al., 2203.11709)."""
from __future__ import annotations

from dataclasses import replace

import torch.nn.functional as F
from torch import Tensor, nn

from mmdense.registry import MODELS
from mmdense.structures import Views

from ..composite import composite, draw_others, mask_at_cells, random_holes
from ..losses import foreground_nce
from ..queue import EMPTY
from ..region_pooling import weighted_pool
from .moco import MoCo


@MODELS.register_module()
class CP2(MoCo):
    """MoCo of what is pasted onto other images, and a contrast of its cells with the background.

    Both views of an image are pasted onto views of two other images of the batch, each through a
    rectangle of its own. Positive of the query's foreground, averaged over its cells: that of the
    key; negatives: a queue of such averages. Beside it, for each foreground cell of the key, every
    foreground cell of the query is a positive, and the query's background cells are negatives
    (:func:`mmdense.models.losses.foreground_nce`). Everything of the twin is without gradient.

    Loss: ``loss_image + loss_dense``, the latter times ``dense_weight``; means over images, so
    with equal batches the mean over processes is that of the joined batch. Backgrounds are of the
    own process; which ones, and where the rectangles lie, is drawn from torch's generator, which
    ``mmdense.IterationSeedHook`` sets from seed, iteration and rank.

    Args:
        projector: head of the map of cells, (B, C, h, w) -> (B, D, h, w).
        queue, twin, loss: as of :class:`MoCo`.
        dense_weight: weight of the contrast of cells.
        dense_temperature: its temperature.
        area: lowest and highest share of a view that is foreground.
        aspect: lowest and highest height over width of the foreground.
        kwargs: ``decode_head`` as published, and what :class:`TwoBranchSSL` takes.
    """
    heads = ('projector',)
    optional_heads = encoder_heads = ()
    pictures = dict(composites=())

    def __init__(self, backbone: dict, projector: dict, queue: dict, twin: dict, loss: dict,
                 dense_weight: float = 0.2, dense_temperature: float = 1.0,
                 area: tuple[float, float] = (0.5, 0.8),
                 aspect: tuple[float, float] = (0.8, 1.25), **kwargs) -> None:
        super().__init__(backbone, queue, twin, loss, projector={**projector, 'dense': True},
                         **kwargs)
        self.dense_weight, self.dense_temperature = dense_weight, dense_temperature
        self.area, self.aspect = area, aspect

    def project(self, net: nn.Module, images: Tensor) -> tuple[Tensor]:
        """Return the projected cells (B, D, h, w) of images under ``net``."""
        return (net.projector(self.encode(images, net)),)

    def loss_map(self, images: Tensor) -> Tensor:
        """Return the map (B, C, h, w) of images (B, 3, H, W)."""
        return self.encode(images)

    def compose(self, inputs: list[Tensor], views: Views) -> tuple[list[Tensor], Views]:
        """Paste each view (B, 3, H, W) onto the same view of another image.

        Returns:
            The composites, and the views with the foreground (B, H, W) of each as their masks.

        Raises:
            ValueError: fewer than three images.
        """
        others = draw_others(len(inputs[0]), inputs[0].device)
        masks = [random_holes(len(view), view.shape[2:], self.area, self.aspect, view.device)
                 for view in inputs]
        pasted = [composite(view, view[order], mask)
                  for view, order, mask in zip(inputs, others, masks, strict=True)]
        return pasted, replace(views, masks=masks)

    def loss(self, inputs: list[Tensor], views: Views) -> dict[str, Tensor]:
        """Return the named losses of two views (B, 3, H, W)."""
        return super().loss(*self.compose(inputs, views))

    def objective(self, online: tuple[Tensor], target: tuple[Tensor],
                  views: Views) -> dict[str, Tensor]:
        """Return ``loss_image`` and ``loss_dense``, weighted; push the keys.

        Args:
            online, target: cells (B, D, h, w) of query and key.
            views: of both, with their foreground as masks.
        """
        (cells,), (keys,) = online, target
        masks = [mask_at_cells(mask, *maps.shape[2:])
                 for mask, maps in zip(views.masks, (cells, keys), strict=True)]
        (query, inside), (key, seen) = (
            weighted_pool(F.normalize(maps.float(), dim=1), mask[:, None])
            for maps, mask in zip((cells, keys), masks, strict=True))
        valid = ((inside > 0) & (seen > 0)).squeeze(1)
        image = self.contrast(query.squeeze(1), key.squeeze(1), views.index.where(valid, EMPTY),
                              valid=valid)
        dense = foreground_nce(cells, keys, *masks, self.dense_temperature)
        return dict(loss_image=image, loss_dense=self.dense_weight * dense)
