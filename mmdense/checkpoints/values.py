"""Check the numbers in a checkpoint: floats where a network needs them, and finite."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mmdense.mistakes import WrongValue

from .layouts import containers

#: last parts of names whose tensors are floats in every network
FLOATS = ('weight', 'bias', 'running_mean', 'running_var')


def is_measurable(name: str, value: Any) -> bool:
    """Whether a value is a float tensor whose numbers should be finite: masks hold infinities."""
    return (isinstance(value, Tensor) and value.is_floating_point() and value.numel() > 0
            and value.layout == torch.strided and value.device.type != 'meta'
            and 'mask' not in name.rpartition('.')[2])


def not_finite(tensors: Mapping[str, Any]) -> list[str]:
    """Return the names of tensors that hold nan or infinity; waits for a GPU once."""
    names = [name for name, value in tensors.items() if is_measurable(name, value)]
    if not names:
        return []
    flags = []
    for name in names:
        value = tensors[name].detach()
        value = value.float() if value.element_size() == 1 else value
        # the extremes of nan are nan: one pass and no copy, of what may be a gigabyte
        flags.append(torch.stack(value.aminmax()).isfinite().all().to(tensors[names[0]].device))
    return [name for name, good in zip(names, torch.stack(flags).tolist(), strict=True)
            if not good]


def some_of(names: list[str], tensors: Mapping[str, Any]) -> str:
    """Return how many tensors ``names`` are, and the first of them."""
    more = ', …' if len(names) > 3 else ''
    return f'{len(names)} of {len(tensors)} tensors ({", ".join(names[:3])}{more})'


def check_values(content: Any, source: str) -> None:
    """Look at the tensors of a checkpoint: are they floats where they should be, and finite?

    Args:
        content: what was read; anything but a dict passes.
        source: the file, for the message.

    Raises:
        ValueError: weights that hold nan or infinity, or whole numbers where floats are due.
    """
    for key, tensors in (containers(content) if isinstance(content, Mapping) else {}).items():
        where = f" in '{key}'" if key else ''
        whole = [name for name, value in tensors.items() if name.rpartition('.')[2] in FLOATS
                 and not (value.is_floating_point() or value.is_complex())]
        if whole:
            raise WrongValue(f'{source} is damaged or not of a network: {some_of(whole, tensors)}'
                             f'{where} are {tensors[whole[0]].dtype}, expected floats')
        bad = not_finite(tensors)
        if bad:
            raise WrongValue(f'{source} is of no use: {some_of(bad, tensors)}{where} hold nan or '
                             'infinity, as a run that diverged leaves them; take an earlier '
                             'checkpoint')
