"""The results of a table: one record per row and seed, and one value per metric."""
from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmdense.evaluation.best_layer import CHOICE, choose_layer
from mmdense.evaluation.protocols import BASELINES
from mmdense.evaluation.signal_ranking import TARGET, beside_target, rank_correlation
from mmdense.files import write_whole
from mmdense.mistakes import MissingFile, WrongValue
from steps.step import Step

from .definition import Table
from .means import mean_of

#: beginnings of the names of numbers that stand beside a row's own
BESIDE = (*BASELINES, 'random_')
#: the learning rate of fine-tuning with the highest mean
BEST = 'best learning rate'
#: the layer that the memory images choose for a row and seed
BEST_LAYER = 'best layer'
#: fewer checkpoints say nothing of a signal
FEWEST = 4
#: what a record keeps of the step that makes the weights
KEPT = ('row', 'seed', 'config', 'options', 'budget', 'processes', 'amp', 'steps', 'images',
        'forwards', 'seconds', 'versions', 'checkpoint', 'checkpoint_sha256')


@dataclass(frozen=True, order=True)
class Metric:
    """A number's place: ``knn``, ``C5``, ``mIoU``."""
    protocol: str
    layer: str
    name: str

    def __str__(self) -> str:
        return f'{self.protocol} {self.layer} {self.name}'


def record(steps: Sequence[Step]) -> dict[str, Any] | None:
    """Return what a row's finished steps of one seed say; None if its weights are not there yet."""
    found = [step.result() for step in steps]
    start = found[0]
    if start is None:
        return None
    metrics: dict[str, dict] = {}
    for result in filter(None, found):
        for protocol, layers in result.get('metrics', {}).items():
            metrics.setdefault(protocol, {}).update(layers)
    return {**{key: start.get(key) for key in KEPT}, 'commit': start['versions']['commit'],
            'metrics': metrics, 'all_steps': [result for result in found if result],
            'not_run': [step.name for step, result in zip(steps, found, strict=True)
                        if result is None]}


def read_records(path: str | Path, table: Table) -> list[dict[str, Any]]:
    """Return the measured records of a ``results.json``, of another run or machine.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no file of results, or has none of the table's rows.
    """
    if not Path(path).is_file():
        raise MissingFile(f'--add {path}: no such file')
    try:
        measured = json.loads(Path(path).read_text())['measured']
        # what a record of an earlier version did not say is None
        found = [{**dict.fromkeys(KEPT), **one} for one in measured
                 if one['row'] in [row.name for row in table.rows]]
    except (ValueError, KeyError, TypeError):
        raise WrongValue(f'--add {path}: expected a results.json of tools/run_table.py') from None
    if not found:
        raise WrongValue(f'--add {path}: rows {sorted({one["row"] for one in measured})}; expected '
                         f'some of {[row.name for row in table.rows]}')
    return found


def join_records(own: Sequence[dict], added: Sequence[dict], table: Table) -> list[dict]:
    """Return records by row, then seed; of one row and seed ``own`` counts, else the first."""
    kept: dict[tuple[str, int], dict] = {}
    for one in (*own, *added):
        kept.setdefault((one['row'], one['seed']), one)
    order = [row.name for row in table.rows]
    return sorted(kept.values(), key=lambda one: (order.index(one['row']), one['seed']))


def numbers_of(one: dict) -> Iterator[tuple[Metric, float]]:
    """Yield the metrics of a record and their values, without those that could not be measured."""
    for protocol, layers in one['metrics'].items():
        for layer, numbers in layers.items():
            for name, value in numbers.items():
                if value is not None:
                    yield Metric(protocol, layer, name), value


def _at_best_layer(one: dict) -> Iterator[tuple[Metric, float]]:
    by_layer: dict[str, dict] = {}
    for protocol, layers in one['metrics'].items():
        if protocol != 'finetune':
            for layer, numbers in layers.items():
                by_layer.setdefault(layer, {})[protocol] = numbers
    best = choose_layer(by_layer)
    for metric, value in numbers_of(one) if best is not None else ():
        # the choice's own number is no measurement: it is the highest of several
        if metric.layer == best and CHOICE not in metric.name:
            yield Metric(metric.protocol, BEST_LAYER, metric.name), value


def values(records: Sequence[dict], row: str) -> dict[Metric, dict[int, float]]:
    """Return a row's values by metric and seed, those at its best layer and rate among them.

    The layer is the one that the memory images of each seed choose, for all protocols; the
    learning rate is the one with the highest mean over the seeds that have all rates.
    """
    found: dict[Metric, dict[int, float]] = {}
    own = [one for one in records if one['row'] == row]
    for pick in (numbers_of, _at_best_layer):
        for one in own:
            for metric, value in pick(one):
                found.setdefault(metric, {})[one['seed']] = value
    rates = {metric: seeds for metric, seeds in found.items() if metric.protocol == 'finetune'}
    if rates:
        common = set.intersection(*map(set, rates.values()))
        if common:
            best = max(rates.values(), key=lambda seeds: mean_of(
                [seeds[seed] for seed in sorted(common)]).mean)
            found[Metric('finetune', BEST, 'mIoU')] = {seed: best[seed] for seed in sorted(common)}
    return found


def correlations(records: Sequence[dict]) -> list[tuple[Metric, float, int]]:
    """Return Spearman's rank correlation of each metric with the linear mIoU of the same layer.

    Args:
        records: of all rows and seeds; those that have both numbers are a metric's checkpoints.

    Returns:
        metric, correlation and number of checkpoints, of each metric of features with four of
        them at least; none where either number is the same for all of them.
    """
    pairs = beside_target({(one['row'], one['seed']): {
        (metric.layer, metric.protocol, metric.name): value
        for metric, value in numbers_of(one)} for one in records})
    found = []
    for (layer, protocol, name), both in pairs.items():
        if len(both) >= FEWEST and (protocol, name) != TARGET and not name.startswith(BESIDE):
            correlation = rank_correlation(*zip(*both.values(), strict=True))
            if correlation is not None:
                found.append((Metric(protocol, layer, name), correlation, len(both)))
    return found


def write_json(records: Sequence[dict], table: Table, path: Path) -> None:
    """Write all records as JSON, with the published values apart from them."""
    content = dict(table=str(table.path), measured=list(records), published=list(table.published))
    write_whole(json.dumps(content, indent=1).encode(), path)


def write_csv(records: Sequence[dict], path: Path) -> None:
    """Write measured values in long form: one line per row, seed and metric."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(['row', 'seed', 'protocol', 'layer', 'metric', 'value', 'steps', 'images',
                     'forwards', 'seconds'])
    for one in records:
        for protocol, layers in one['metrics'].items():
            for layer, numbers in layers.items():
                for name, value in numbers.items():
                    writer.writerow([one['row'], one['seed'], protocol, layer, name, value,
                                     one['steps'], one['images'], one['forwards'],
                                     one['seconds']])
    write_whole(text.getvalue().encode(), path)
