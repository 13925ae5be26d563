"""What a checkpoint may hold: no program text, and weights where weights are expected."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from mmdense.mistakes import WrongValue

from .load_report import listing


def without_program(content: Any, name: str) -> Any:
    """Return what was read, without the text that mmengine runs as a program when it resumes.

    ``meta['config']`` is a config in files of mmcv 1; today's ``meta['cfg']`` is only text, and
    run by nobody (see ``compat.keep_texts_unrun``).
    """
    meta = content.get('meta') if isinstance(content, dict) else None
    if isinstance(meta, dict) and meta.pop('config', None) is not None:
        print_log(f"{name}: left out its meta['config'], which mmengine would run as a program",
                  'current')
    return content


def named_tensors(content: Any, name: str = '', depth: int = 4) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors in nested dicts, with their names."""
    if isinstance(content, Tensor):
        yield name, content
    elif isinstance(content, Mapping) and depth:
        for key, value in content.items():
            yield from named_tensors(value, f'{name}.{key}' if name else str(key), depth - 1)


def require_weights(content: Any, name: str) -> dict:
    """Return a checkpoint that has weights which a network can take.

    Args:
        content: what was read.
        name: of the file, for the message.

    Raises:
        ValueError: it is no dict, or holds no tensors, sparse ones, or names that are no text.
    """
    what = type(content).__name__
    if not isinstance(content, dict):
        raise WrongValue(f'{name} holds a {what}; expected a checkpoint, a dict of tensors')
    state = content.get('state_dict', content)
    if not isinstance(state, Mapping):
        raise WrongValue(f"{name}: its 'state_dict' is a {type(state).__name__}; expected a dict "
                         'of tensors')
    tensors = list(named_tensors(state))
    if not tensors:
        keys = listing('', [str(key) for key in state]) or 'none'
        raise WrongValue(f'{name} holds no weights: no tensor among its keys ({keys})')
    odd = next((key for key in state if not isinstance(key, str)), None)
    if odd is not None:
        raise WrongValue(f'{name}: a weight is named {odd!r}; expected names as of a state dict')
    for key, tensor in tensors:
        if tensor.layout is not torch.strided:
            layout = str(tensor.layout).removeprefix('torch.')
            raise WrongValue(f'{name}: {key} is a {layout} tensor, which no network takes; '
                             'expected dense ones: save it with .to_dense()')
    return content


def require_fit(model: nn.Module, checkpoint: Mapping, name: str) -> None:
    """Check that a checkpoint has anything for a model, before mmengine loads it silently.

    Raises:
        ValueError: no tensor of it has a name and shape of the model.
    """
    own = model.state_dict()
    state = {key.removeprefix('module.'): value
             for key, value in checkpoint.get('state_dict', checkpoint).items()}
    fits = any(isinstance(value, Tensor) and key in own and value.shape == own[key].shape
               for key, value in state.items())
    if own and not fits:
        raise WrongValue(
            f'{name} has no tensor of {type(model).__name__}, whose weights would stay random: '
            f'expected names such as {listing("", list(own), 3)}, the file has '
            f'{listing("", list(state), 3)}; for the weights of a backbone write '
            "model.backbone.init_cfg=dict(type='mmdense.PretrainedBackbone', checkpoint=…)")
