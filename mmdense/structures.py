"""What travels with the views: of one image (`ViewSample`), and of a batch (`Views`)."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import torch
from mmengine.structures import BaseDataElement
from torch import Tensor
from torch.utils.data import default_collate

from .mistakes import WrongValue


def stack_images(images: Sequence[Tensor]) -> Tensor:
    """Stack B images (C, h, w) to (B, C, h, w), in a loader's worker into shared memory.

    Raises:
        ValueError: they differ in shape; the message names two shapes.
    """
    shapes = sorted({tuple(image.shape) for image in images})
    if len(shapes) > 1:
        raise WrongValue(f'images of one batch differ in shape (C, h, w): {shapes[0]} and '
                         f'{shapes[1]}; end the pipeline at one size and channel count')
    return default_collate(list(images))


def stack_regions(maps: Sequence[Tensor]) -> Tensor:
    """Stack region maps (h, w) to (B, h, w): uint8 if all of them are, else int32."""
    if any(regions.dtype != torch.uint8 for regions in maps):
        maps = [regions.int() for regions in maps]
    return default_collate(list(maps))


def stack_given(samples: Sequence[ViewSample], name: str) -> list[Tensor | None] | None:
    """Stack what B images have of each of V views under ``name``, (B, …), or None.

    Raises:
        ValueError: of a view some images have it and some have not, or in other shapes.
    """
    if not any(name in sample for sample in samples):
        return None
    count = len(samples[0].boxes)
    stacked = []
    for view, given in enumerate(zip(*(sample.get(name, [None] * count) for sample in samples),
                                     strict=True)):
        kinds = {None if one is None else tuple(one.shape) for one in given}
        if len(kinds) > 1:
            paths = [sample.get('img_path') for sample in samples]
            shapes = [None if one is None else tuple(one.shape) for one in given]
            other = next(at for at, shape in enumerate(shapes) if shape != shapes[0])
            raise WrongValue(f'view {view}: {name} of {paths[0]} is {shapes[0]}, of {paths[other]} '
                             f'{shapes[other]}: give one of the same shape to all images, or none')
        stacked.append(None if given[0] is None else default_collate(list(given)))
    return stacked


class ViewSample(BaseDataElement):
    """Geometry of the V views of one image.

    Data fields:
        boxes: (V, 4) float32, half-open source pixels (x0, y0, x1, y1).
        flips: (V,) bool, True where a view is mirrored left to right.
        regions: where the image has a region map, a list of V maps (h, w), uint8 if none of the
            image's ids is above 255, else int32; 0 is no region.
        targets, masks: where some view has one, a list over V of a tensor or None: what is to be
            predicted of that view, and which of its cells or pixels are hidden (or shown). They
            are ``target`` and ``mask`` of a view's results, any arrays, and stay as the view's
            pipeline made them.

    Metainfo: ``img_path``, ``ori_shape`` (H, W) of the file, ``img_shape`` (H, W) of the image
    whose pixels the boxes are in, ``index``, the image's own number, and, with
    regions, ``num_regions``, the highest id of its map.
    """


@dataclass
class Views:
    """Geometry of V views of each of B images.

    Attributes:
        boxes: (V, B, 4) float32, half-open source pixels (x0, y0, x1, y1).
        flips: (V, B) bool, True where a view is mirrored left to right.
        index: (B,) int64, one number per image (of the file, not of its place in a dataset).
        regions: None, or V maps (B, h, w), 0 is no region; int32, or as collated uint8 where none
            of their ids is above 255.
        num_regions: no id in them is above it, where that is known; one below a power of two, so
            that few sizes occur: a compiled step is compiled anew for each.
        sizes: (B, 2) int64, (H, W) of each source image, in the pixels of the boxes; or None.
        targets, masks: None, or for each of V views a tensor (B, …) or None.
    """

    boxes: Tensor
    flips: Tensor
    index: Tensor
    regions: list[Tensor] | None = None
    num_regions: int | None = None
    sizes: Tensor | None = None
    targets: list[Tensor | None] | None = None
    masks: list[Tensor | None] | None = None

    def take(self, order: Sequence[int]) -> Views:
        """Return the views of these numbers, in this order; one may be named several times."""
        order = list(order)
        regions, targets, masks = (None if part is None else [part[view] for view in order]
                                   for part in (self.regions, self.targets, self.masks))
        boxes, flips = (torch.stack([part[view] for view in order])     # waits for no device
                        for part in (self.boxes, self.flips))
        return Views(boxes, flips, self.index, regions, self.num_regions, self.sizes, targets,
                     masks)

    def _each(self, change: Callable[[Tensor], Tensor]) -> Views:
        def changed(part: object) -> object:
            if isinstance(part, list):
                return [changed(one) for one in part]
            return change(part) if isinstance(part, Tensor) else part
        return Views(*(changed(getattr(self, field.name)) for field in fields(self)))

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Views:
        """Return it on ``device``, region ids as int32."""
        moved = self._each(lambda tensor: tensor.to(device, non_blocking=non_blocking))
        if moved.regions is not None:   # what goes to the GPU is a quarter in 8 bits
            moved.regions = [maps.int() for maps in moved.regions]
        return moved

    def pin_memory(self) -> Views:
        """Return it in page-locked memory; a data loader's ``pin_memory`` calls this."""
        return self._each(Tensor.pin_memory)

    @classmethod
    def collate(cls, samples: Sequence[ViewSample]) -> Views:
        """Stack the samples of B images, view by view.

        Raises:
            ValueError: some images have a region map, a target or a mask and some have none.
        """
        with_regions = sum('regions' in sample for sample in samples)
        if with_regions not in (0, len(samples)):
            path = next(s.get('img_path') for s in samples if 'regions' not in s)
            raise WrongValue(f'{with_regions} of {len(samples)} images of a batch have regions; '
                             f'{path} has none: give all images a region map, or none')
        regions = num_regions = None
        if with_regions:
            maps = zip(*(sample.regions for sample in samples), strict=True)
            regions = [stack_regions(view) for view in maps]
            counts = [sample.get('num_regions') for sample in samples]
            num_regions = None if None in counts else (1 << max(counts).bit_length()) - 1
        shapes = [sample.get('img_shape') for sample in samples]
        return cls(boxes=torch.stack([s.boxes for s in samples], 1),
                   flips=torch.stack([s.flips for s in samples], 1),
                   index=torch.tensor([s.index for s in samples]),
                   regions=regions, num_regions=num_regions,
                   sizes=None if None in shapes else torch.tensor(shapes),
                   targets=stack_given(samples, 'targets'), masks=stack_given(samples, 'masks'))
