"""From the samples of a batch to few tensors, in the process that made them."""
from __future__ import annotations

from collections.abc import Sequence

from mmdense.registry import FUNCTIONS
from mmdense.structures import Views, stack_images


@FUNCTIONS.register_module()
def collate_views(samples: Sequence[dict]) -> dict:
    """Return ``inputs``, V tensors (B, C, h, w), and ``data_samples``, `Views`, of B samples.

    What a worker hands over takes a file descriptor for each tensor, and memory that both share:
    V + 3 of a batch, 2 V + 3 with regions, not some of every image.

    Args:
        samples: as `PackViews` makes them.

    Raises:
        ValueError: the images of one view differ in shape, or some have regions and some have none.
    """
    views = zip(*(sample['inputs'] for sample in samples), strict=True)
    return dict(inputs=[stack_images(view) for view in views],
                data_samples=Views.collate([sample['data_samples'] for sample in samples]))
