"""The image that the views of a sample are cut from, which a packed sample does not hold."""
from __future__ import annotations

import copy
from collections.abc import Sequence

from mmengine.dataset import Compose

from mmdense.datasets.transforms.multiview import MultiView


class WithSource:
    """``MultiView`` and all after it, as one transform that also keeps what came to it.

    Adds ``source`` to the packed sample: ``img`` (H, W, C) and, where there are some, ``regions``
    (H, W), on whose pixels the views' boxes are.
    """

    def __init__(self, transforms: Sequence) -> None:
        self.transforms = Compose(transforms)

    def __call__(self, results: dict) -> dict:
        source = {key: results[key] for key in ('img', 'regions') if key in results}
        return {**self.transforms(results), 'source': source}


def with_source(dataset: Sequence[dict]) -> Sequence[dict]:
    """Return a copy of a dataset, also of one inside wrappers, whose samples have a ``source``.

    Raises:
        ValueError: a dataset without pipeline, or a pipeline without ``mmdense.MultiView``.
    """
    changed, name = copy.copy(dataset), type(dataset).__name__
    if hasattr(dataset, 'pipeline'):
        steps = dataset.pipeline.transforms
        start = next((n for n, step in enumerate(steps) if isinstance(step, MultiView)), None)
        if start is None:
            raise ValueError(f'the pipeline of {name} has no mmdense.MultiView, which makes the '
                             'views whose regions are drawn')
        changed.pipeline = Compose([*steps[:start], WithSource(steps[start:])])
    elif hasattr(dataset, 'datasets'):
        changed.datasets = [with_source(part) for part in dataset.datasets]
    elif hasattr(dataset, 'dataset'):
        changed.dataset = with_source(dataset.dataset)
    else:
        raise ValueError(f'{name} has no pipeline, in which the image of the views could be seen')
    return changed
