"""Before a network is measured or drawn: does its checkpoint fill it?"""
from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from mmengine.model import BaseTTAModel, is_model_wrapper
from torch import Tensor, nn

from mmdense.mistakes import WrongValue

from .hints import hints
from .layouts import Selection, containers
from .load_report import LoadReport, compare, counted, examine, listing

#: containers that mmengine loads names from as they are; EMA's are swapped in before a test
LOADED = ('state_dict', '')


def bare(model: nn.Module) -> nn.Module:
    """Return the model without its wrappers for several processes or test time augmentation."""
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    return model


def encoder_parts(model: nn.Module) -> tuple[str, ...]:
    """Return the names of what gives frozen features: backbone, and a method's decode head."""
    from mmseg.models import BaseSegmentor
    names = ('backbone',) if isinstance(model, BaseSegmentor) else ('backbone', 'decode_head')
    return tuple(name for name in names if getattr(model, name, None) is not None)


def examine_model(model: nn.Module, checkpoint: Mapping, name: str,
                  parts: Sequence[str] = ()) -> tuple[LoadReport, dict[str, Tensor]]:
    """Return the report of a checkpoint against a whole model, and the tensors it would load.

    Names are read as they are in the file, as mmengine does.

    Args:
        model: as it was built, wrappers and all.
        checkpoint: what :func:`read_checkpoint` returned.
        name: the file, for the report.
        parts: names of the modules that matter; () = all.
    """
    model = bare(model)
    target = {key: tensor for key, tensor in model.state_dict().items()
              if not parts or key.split('.')[0] in parts}
    found = containers(checkpoint)
    container = next((key for key in LOADED if key in found), None)
    tensors = {re.sub(r'^module\.', '', key): tensor
               for key, tensor in found.get(container, {}).items()}
    others = [key for key in tensors if parts and key.split('.')[0] not in parts]
    inside = {key: tensor for key, tensor in tensors.items() if key not in set(others)}
    kind = type(model).__name__ + (f" ({', '.join(parts)})" if parts else '')
    report = compare(Selection(container or '', '', inside, others), target, name, kind)
    # of a deeper network all names may be there; hints read names without a prefix
    start = 'backbone.'
    own, file = ({key.removeprefix(start): tensor for key, tensor in part.items()
                  if key.startswith(start)} for part in (target, inside))
    report.hints.extend(hint for hint in hints(file, own) if hint not in report.hints)
    return report, tensors


def _converted(model: nn.Module, report: LoadReport, tensors: Mapping[str, Tensor]) -> bool:
    """Return whether the model fills what seems to be missing, by renaming or resizing as it loads.

    Vision transformers resize their positions, and heads rename what older versions had.
    """
    if report.hints or not report.matched:
        return False
    try:
        missing = model.load_state_dict(dict(tensors), strict=False).missing_keys
    except RuntimeError:        # another shape
        return False
    return not set(missing) & set(report.missing)


def refuse_unfilled(model: nn.Module, checkpoint: Mapping, name: str,
                    parts: Sequence[str] = ()) -> LoadReport:
    """Return the report of a checkpoint that fills a model, or those of its ``parts``.

    Raises:
        ValueError: it does not, and what would be measured is random in part.
    """
    model = bare(model)
    report, tensors = examine_model(model, checkpoint, name, parts)
    if report.complete or _converted(model, report, tensors):
        return report
    lines = [report.summary()]
    missing = Counter(key.split('.')[0] for key in report.missing)
    if missing:
        lines.append('missing: ' + ', '.join(f'{part} ({n})' for part, n in missing.items())
                     + f', such as {listing("", report.missing, 2)}')
    if report.mismatched:
        key, file, own = report.mismatched[0]
        lines.append(f'{len(report.mismatched)} of another shape, such as {key}: {list(file)} in '
                     f'the file, {list(own)} in the model')
    advice = _advice(model, checkpoint, name, report)
    raise WrongValue('\n  '.join([*lines, *([advice] if advice else [])]))


def _advice(model: nn.Module, checkpoint: Mapping, name: str, report: LoadReport) -> str:
    """Return what the file can be used for, if it holds the backbone of ``model``."""
    backbone = getattr(model, 'backbone', None)
    if backbone is None or not counted(backbone.state_dict()):
        return ''
    try:
        found, _ = examine(backbone, checkpoint, name)
    except ValueError:
        return ''
    if not found.complete:
        return '' if set(found.hints) <= set(report.hints) else '; '.join(found.hints)
    if any(key.split('.')[0] == 'backbone' for key in report.missing):
        return (f'the file has the backbone {found.place}, where this command does not look; '
                'training (model.backbone.init_cfg.checkpoint) and tools/evaluate.py find it there')
    if any(name.endswith('conv_seg.weight') for name, *_ in report.mismatched):
        return ('the file is of a segmentor with another number of classes: measure it with the '
                'config that it was trained with')
    return ('the file holds a pretrained backbone: fine-tune from it '
            f'(model.backbone.init_cfg.checkpoint={name}), and measure the checkpoint of that run')
