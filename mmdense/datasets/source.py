"""The image as a config's own transforms load it, which a packed sample does not hold."""
from __future__ import annotations

from collections.abc import Sequence

from mmengine.dataset import Compose

from mmdense.mistakes import WrongValue

from .built_datasets import with_steps
from .transforms.multiview import MultiView
from .transforms.relative import RelativePatches

#: what makes views of an image
MAKES_VIEWS = (MultiView, RelativePatches)


class WithSource:
    """What makes views and all transforms after it as one, which also keeps its input.

    Adds ``source`` to the packed sample: ``img`` (H, W, C) and, where there are some, ``regions``
    (H, W), on whose pixels the views' boxes are.
    """

    def __init__(self, transforms: Sequence) -> None:
        self.transforms = Compose(transforms)

    def __call__(self, results: dict) -> dict:
        source = {key: results[key] for key in ('img', 'regions') if key in results}
        return {**self.transforms(results), 'source': source}


def _keep_source(steps: list, name: str) -> list:
    start = next((n for n, step in enumerate(steps) if isinstance(step, MAKES_VIEWS)), None)
    if start is None:
        raise WrongValue(f'the pipeline of {name} has no mmdense.MultiView, which makes the '
                         'views that are drawn')
    return [*steps[:start], WithSource(steps[start:])]


def _load_only(steps: list, name: str) -> list:
    names = [type(step).__name__ for step in steps]
    if 'MultiView' in names:                 # ours and mmpretrain's
        return steps[:names.index('MultiView')]
    loading = [n for n, step in enumerate(names) if step.startswith('Load')]
    if not loading:
        raise WrongValue(f'the pipeline of {name} loads no image; expected mmdense.LoadImage, '
                         'LoadImageFromFile or another transform named Load…')
    return steps[:loading[-1] + 1]


def with_source(dataset: Sequence[dict]) -> Sequence[dict]:
    """Return a copy of a dataset, also of one inside wrappers, whose samples have a ``source``.

    Raises:
        ValueError: a dataset without pipeline, or a pipeline without ``mmdense.MultiView``.
    """
    return with_steps(dataset, _keep_source)


def source_images(dataset: Sequence[dict]) -> Sequence[dict]:
    """Return a copy of a dataset, also of one inside wrappers, whose samples are what is loaded.

    They hold ``img`` (H, W, C) as it comes to ``MultiView``, or without one as the last ``Load…``
    transform leaves it.

    Raises:
        ValueError: a dataset without pipeline, or a pipeline that loads nothing.
    """
    return with_steps(dataset, _load_only)
