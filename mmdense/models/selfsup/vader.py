"""VADeR: pixels of a decoder's map that show the same place (Pinheiro et al., NeurIPS 2020)."""
from __future__ import annotations

from torch import Tensor

from mmdense.registry import MODELS

from .plmoco import PLMoCo


@MODELS.register_module()
class VADeR(PLMoCo):
    """InfoNCE of pixels of an encoder-decoder's fine map, with a queue of pixels (2011.05499).

    A few pixels of the first view are drawn of those that the second view shows too. Positive of a
    pixel: the twin's pixel at the same place of the image. Negatives: a queue of these partners of
    earlier steps; of an image whose views share too little it takes pixels without a partner
    instead, so every process pushes the same number. Everything else is :class:`PLMoCo`'s, whose
    queue takes pixels of the whole key view: masked rows, the mean over the pixels that have a
    partner, ``matched`` in the log. Nothing is held that grows with pixels times pixels.

    Args:
        decode_head: that gives the map; required.
        num_cells: pixels drawn of a view.
        kwargs: what else :class:`PLMoCo` takes.
    """

    def __init__(self, backbone: dict, decode_head: dict, *args, num_cells: int = 32,
                 **kwargs) -> None:
        super().__init__(backbone, *args, decode_head=decode_head, num_cells=num_cells, **kwargs)

    @classmethod
    def queue_keys(cls, model: dict) -> dict[str, int]:
        """Return the keys that an image adds to either queue."""
        return super().queue_keys({**model, 'num_cells': model.get('num_cells', 32)})

    def kept(self, keys: Tensor, positives: Tensor) -> Tensor:
        """Return what the queue takes (B, D, n): the partners of the drawn pixels."""
        return positives
