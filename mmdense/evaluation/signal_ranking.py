"""How well cheap signals rank checkpoints, compared with a linear probe on labels."""
from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from scipy.stats import spearmanr

from mmdense.mistakes import MissingFile, WrongValue

#: protocol and name of what the signals are compared with
TARGET = ('linear', 'mIoU')
#: protocol and name of each signal
SIGNALS = (('knn', 'mIoU'), ('correspondence', 'within_1'), ('correspondence', 'within_2'),
           ('statistics', 'effective_rank'), ('statistics', 'feature_std'),
           ('statistics', 'place_share'))
#: fewer checkpoints have no ranking to speak of
FEWEST = 3
#: {checkpoint: {(layer, protocol, name): value}}
Measured = dict[str, dict[tuple[str, str, str], float]]


def _entries(content: Any, path: Path) -> Iterator[tuple[str, str, str, Mapping]]:
    """Yield (checkpoint, layer, protocol, numbers) of a file's content."""
    if isinstance(content, dict) and isinstance(content.get('results'), dict):
        for layer, protocols in content['results'].items():
            for protocol, numbers in protocols.items():
                yield str(content['checkpoint']), layer, protocol, numbers
    elif isinstance(content, dict) and isinstance(content.get('measured'), list):
        for one in content['measured']:
            for protocol, layers in one['metrics'].items():
                for layer, numbers in layers.items():
                    yield f"{one['row']}, seed {one['seed']}", layer, protocol, numbers
    else:
        raise WrongValue(f"{path}: neither what tools/evaluate.py --json writes ('results') nor "
                         "the results.json of tools/run_table.py ('measured')")


def read_results(paths: Sequence[str | Path]) -> Measured:
    """Return the numbers in results files; what several files say of a checkpoint is joined.

    Args:
        paths: files of ``tools/evaluate.py --json`` and ``results.json`` of
            ``tools/run_table.py``, whose checkpoints are called after row and seed.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a file is neither, or two files give a checkpoint two different numbers.
    """
    found: Measured = {}
    for path in map(Path, paths):
        if not path.is_file():
            raise MissingFile(f'{path}: no such file; expected results of tools/evaluate.py '
                              '--json or tools/run_table.py')
        try:
            entries = list(_entries(json.loads(path.read_text()), path))
        except (json.JSONDecodeError, UnicodeDecodeError, KeyError, AttributeError, TypeError) \
                as error:
            raise WrongValue(f'{path}: no results of tools/evaluate.py --json or '
                             f'tools/run_table.py ({type(error).__name__}: {error})') from None
        for checkpoint, layer, protocol, numbers in entries:
            for name, value in numbers.items():
                # a diverged run is as if it was not measured; JSON has null in place of nan
                if value is None or not math.isfinite(value):
                    continue
                known = found.setdefault(checkpoint, {}).setdefault((layer, protocol, name), value)
                if known != value:
                    raise WrongValue(f'{path}: {protocol} {name} of {layer} of {checkpoint} is '
                                     f'{value}, and {known} in a file before it; expected one '
                                     'evaluation of a checkpoint')
    return found


def rank_correlation(signal: Sequence[float], target: Sequence[float]) -> float | None:
    """Return Spearman's rank correlation; None of fewer than three, or if one side is constant."""
    if len(signal) < FEWEST or len(set(signal)) == 1 or len(set(target)) == 1:
        return None
    return float(spearmanr(signal, target).statistic)


def beside_target(measured: Mapping[Any, Mapping[tuple[str, str, str], float]]
                  ) -> dict[tuple[str, str, str], dict[Any, tuple[float, float]]]:
    """Return each number with the linear mIoU of its layer, by checkpoints that have both."""
    found: dict[tuple[str, str, str], dict] = {}
    for checkpoint, numbers in measured.items():
        for key, value in numbers.items():
            if (target := numbers.get((key[0], *TARGET))) is not None:
                found.setdefault(key, {})[checkpoint] = value, target
    return found


def _row(layer: str, protocol: str, name: str, values: Mapping[str, tuple[float, float]]) -> dict:
    """Return what a signal says of (signal, target) by checkpoint."""
    signal, target = zip(*values.values(), strict=True)
    chosen = [checkpoint for checkpoint, (own, _) in values.items() if own == max(signal)]
    # several highest ones: the signal does not say which
    choice = chosen[0] if len(chosen) == 1 else None
    return dict(layer=layer, signal=f'{protocol} {name}', n=len(values),
                spearman=rank_correlation(signal, target), chosen=choice,
                chosen_linear=None if choice is None else values[choice][1],
                best_linear=max(target), worst_linear=min(target))


def rank_signals(measured: Measured) -> list[dict[str, Any]]:
    """Return, for each layer and signal, Spearman's correlation with linear mIoU.

    Args:
        measured: of :func:`read_results`.

    Returns:
        Dicts of ``layer``, ``signal``, ``n`` (checkpoints that have both numbers), ``spearman``
        (None if it has none: fewer than 3, or all the same), ``chosen`` (the checkpoint with the
        highest signal; None if it is not a single one) and ``chosen_linear``, ``best_linear``,
        ``worst_linear``: its linear mIoU, and the highest and lowest of these checkpoints.

    Raises:
        ValueError: no layer has linear mIoU of three checkpoints, or none of them has a signal.
    """
    pairs = beside_target(measured)
    layers = {layer: len(values) for (layer, *rest), values in pairs.items()
              if tuple(rest) == TARGET}
    most = max(layers.values(), default=0)
    if most < FEWEST:
        raise WrongValue(f'linear mIoU of {most} checkpoints in a layer, of {len(measured)} '
                         f'in the files; expected at least {FEWEST}: tools/evaluate.py --protocol '
                         'linear …')
    rows = [_row(*key, pairs[key]) for layer in layers for signal in SIGNALS
            if (key := (layer, *signal)) in pairs]
    if not rows:
        raise WrongValue('no signal beside linear mIoU in the files; expected one of '
                         + ', '.join(' '.join(signal) for signal in SIGNALS))
    return rows


def as_markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the rows of :func:`rank_signals` as a Markdown table."""
    lines = ['| layer | signal | n | Spearman | it chooses | with linear mIoU | best | worst |',
             '|---|---|---|---|---|---|---|---|']
    for row in rows:
        numbers = ['n/a' if row[name] is None else f'{row[name]:.2f}' for name in
                   ('spearman', 'chosen_linear', 'best_linear', 'worst_linear')]
        cells = [row['layer'], row['signal'], str(row['n']), numbers[0], row['chosen'] or 'n/a',
                 *numbers[1:]]
        lines.append(f'| {" | ".join(cells)} |')
    return '\n'.join(lines)
