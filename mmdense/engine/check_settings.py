"""Look at settings before a run: the schedule's length, mixed precision, the heads' classes."""
from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import DATASETS, DefaultScope

from mmdense.datasets.dataset_configs import inside, walk

from .finding import Finding
from .recipe import RunFacts
from .wrappers import gpu_has_bfloat16

CPUINFO = Path('/proc/cpuinfo')
#: instructions of x86 and ARM that multiply bfloat16
BF16_FLAGS = {'avx512_bf16', 'amx_bf16', 'bf16'}
MIXED = ('AmpOptimWrapper', 'BFloat16OptimWrapper')
#: schedules that bring the rate down over their whole length
FALLING = ('Cosine', 'Poly', 'Exponential', 'OneCycle')


def has_bf16() -> bool | None:
    """Whether this CPU has instructions for bfloat16; None if it does not say."""
    try:
        lines = re.findall(r'^(?:flags|Features)\s*:(.*)$', CPUINFO.read_text(), re.MULTILINE)
    except OSError:
        return None
    return any(BF16_FLAGS & set(line.split()) for line in lines) if lines else None


def check_precision(cfg: Config, amp: bool) -> Iterator[Finding]:
    """Say what mixed precision is here, if the command or the config asks for it."""
    kind = str(cfg.optim_wrapper.get('type'))
    if not amp and not kind.endswith(MIXED):
        return
    source = '--amp' if amp else f'optim_wrapper.type={kind!r}'
    if get_device() != 'cpu':
        bfloat16 = not kind.endswith('AmpOptimWrapper') and gpu_has_bfloat16()
        yield Finding(True, 'precision', f'{source}: '
                      f'{"bfloat16" if bfloat16 else "float16 with a loss scale"} on the GPU here')
        return
    fits = has_bf16()
    known = {True: 'this CPU has the instructions for it',
             None: 'whether this CPU has instructions for it is not known',
             False: 'this CPU has no instructions for it (avx512_bf16, amx_bf16), which makes a '
             "step about 13 times slower; without --amp, or with optim_wrapper.type='OptimWrapper'"
             ', it is float32'}
    yield Finding(fits is not False, 'precision', f'{source}: bfloat16 on CPU; {known[fits]}')


def _stop(part: dict) -> float:
    """Return where a schedule ends, in its own unit; inf if it does not say."""
    begin = part.get('begin', 0)
    if part.get('milestones'):
        return max(part['milestones'])
    for name in ('T_max', 'total_steps'):
        if part.get(name):
            return begin + part[name]
    return part.get('end', math.inf)


def _length(part: dict, cfg: Config, facts: RunFacts) -> tuple[float | None, str]:
    """Return the run's length in a schedule's unit, and the unit; None if it never moves."""
    by_epoch, epochs = part.get('by_epoch', True), cfg.train_cfg.get('max_epochs')
    if not by_epoch:
        return facts.iterations, 'iterations'
    if epochs:
        return epochs, 'epochs'
    if part.get('convert_to_iter_based'):
        per_epoch = max(math.ceil(facts.images / (facts.per_process * facts.processes)), 1)
        return facts.iterations / per_epoch, 'epochs'
    return None, 'epochs'


def check_schedule(cfg: Config, facts: RunFacts) -> Iterator[Finding]:
    """Compare each part of ``param_scheduler`` with the run's length."""
    parts = cfg.get('param_scheduler') or []
    parts, misfits = [parts] if isinstance(parts, dict) else list(parts), 0
    for number, part in enumerate(parts):
        length, unit = _length(part, cfg, facts)
        name = f'{part["type"]} (param_scheduler[{number}])'
        if length is None:
            yield Finding(False, 'schedule', f'{name} counts epochs (by_epoch=True, also where it '
                          'is not given) and the run iterations: it never moves')
            misfits += 1
            continue
        begin, stop = part.get('begin', 0), _stop(part)
        if begin >= length:
            text = f'begins at {begin:g}, and the run ends at {length:g} {unit}: it never happens'
        elif part.get('milestones') and stop >= length:
            text = (f'milestones {list(part["milestones"])}, and the run ends at {length:g} '
                    f'{unit}: not all of them happen')
        elif stop != length and math.isfinite(stop) and any(
                word in part['type'] for word in FALLING) and number == len(parts) - 1:
            text = f'ends at {stop:g}, and the run at {length:g} {unit}: ' + (
                'the rate has not come down by then' if stop > length
                else 'the rate stays where it is for the rest')
        else:
            continue
        yield Finding(False, 'schedule', f'{name} {text}')
        misfits += 1
    if parts and not misfits:
        yield Finding(True, 'schedule', f'{", ".join(part["type"] for part in parts)} over '
                      f'{facts.iterations} iterations')


def dataset_classes(dataset: dict) -> list[str] | None:
    """Return the class names of a dataset's config, or of the first inside; None if unknown."""
    dataset = next((part for part in walk(dataset) if not inside(part)), dataset)
    classes = (dataset.get('metainfo') or {}).get('classes')
    if classes is None:
        kind = dataset['type']
        with DATASETS.switch_scope_and_registry(None) as registry:      # of the default scope
            kind = registry.get(kind) if isinstance(kind, str) else kind
        classes = getattr(kind, 'METAINFO', {}).get('classes')
    return list(classes) if isinstance(classes, (list, tuple)) else None


def check_classes(cfg: Config) -> Iterator[Finding]:
    """Compare the classes of a segmentor's heads with those of its datasets."""
    heads = [(name, head) for name in ('decode_head', 'auxiliary_head')
             for head in _as_list(cfg.model.get(name)) if 'num_classes' in head]
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmseg')):
        found = {loader: dataset_classes(cfg[loader]['dataset'])
                 for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader')
                 if cfg.get(loader)}
    counts = {loader: len(classes) for loader, classes in found.items() if classes}
    for name, head in heads:
        wrong = [f'{loader.partition("_")[0]} {count}' for loader, count in counts.items()
                 if count != head['num_classes']]
        said = f'model.{name} has num_classes={head["num_classes"]}'
        if wrong:
            yield Finding(False, 'classes', f'{said}; classes of the datasets: {", ".join(wrong)}')
        elif counts:
            yield Finding(True, 'classes', f'{said}, as the datasets have')


def _as_list(part: dict | list | None) -> list[dict]:
    return list(part) if isinstance(part, (list, tuple)) else [part] if part else []
