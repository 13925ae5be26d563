"""A table's results as a page of Markdown."""
from __future__ import annotations

from collections.abc import Sequence

from mmdense.evaluation.best_layer import CHOICE
from mmdense.evaluation.protocols import decimals

from .definition import Table
from .means import ERRORS, PAIRS, mean_of, paired
from .results import BESIDE, BEST, BEST_LAYER, Metric, correlations, values

Values = dict[str, dict[Metric, dict[int, float]]]


def _lines(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f'| {" | ".join(header)} |', '|---' * len(header) + '|',
            *(f'| {" | ".join(row)} |' for row in rows), '']


def measured(of_rows: Values) -> list[Metric]:
    """Return the metrics of features that some row has, in order of the first that has them."""
    found = dict.fromkeys(metric for row in of_rows.values() for metric in row)
    return [metric for metric in found if not metric.name.startswith(BESIDE)]


def _mean(seeds: dict[int, float] | None, protocol: str) -> str:
    return mean_of(list(seeds.values())).text(decimals(protocol)) if seeds else ''


def _beside(of_rows: Values, protocol: str, layer: str, name: str) -> str:
    """Return what all rows have as a baseline, as one number, or as the range of several."""
    found = [value for row in of_rows.values()
             for value in row.get(Metric(protocol, layer, name), {}).values()]
    low, high = (f'{bound(found):.{decimals(protocol)}f}' if found else '' for bound in (min, max))
    return low if low == high else f'{low} to {high}'


def _baselines(of_rows: Values, protocol: str, layers: Sequence[str], name: str
               ) -> list[list[str]]:
    # the baselines of mIoU are of the queries
    kind = name.rpartition('_')[2] if name.endswith('mIoU') and name != CHOICE else name
    rows = []
    for title, start in (('*position prior*', 'position_prior_'), ('*ceiling*', 'ceiling_'),
                         ('*labels*', 'label_')):
        cells = [_beside(of_rows, protocol, layer, start + kind) for layer in layers]
        if any(cells):
            rows.append([title, '', *cells])
    cells = [_beside(of_rows, protocol, layer, f'random_{name}') for layer in layers]
    return [*rows, ['*random weights*', '', *cells]] if any(cells) else rows


def _results(of_rows: Values) -> list[str]:
    lines, metrics = [], measured(of_rows)
    if any(metric.layer == BEST_LAYER for metric in metrics):
        lines += [f'*{BEST_LAYER}*: the one with the highest knn {CHOICE} (k-NN of memory images '
                  'in each other), for each row and seed; the queries have no part in it.', '']
    for protocol, name in dict.fromkeys((one.protocol, one.name) for one in metrics):
        layers = [one.layer for one in metrics if (one.protocol, one.name) == (protocol, name)]
        rows = []
        for row, found in of_rows.items():
            own = [found.get(Metric(protocol, layer, name)) for layer in layers]
            if any(own):
                rows.append([row, str(max(len(seeds or ()) for seeds in own)),
                             *(_mean(seeds, protocol) for seeds in own)])
        unit = ' (no per cent)' if protocol == 'statistics' else ''
        lines += [f'## {protocol}, {name}{unit}', '']
        if BEST in layers:
            lines += ['The best learning rate of a row is the one with the highest mean here, on '
                      'the images that are scored.', '']
        lines += _lines(['row', 'seeds', *layers],
                        rows + _baselines(of_rows, protocol, layers, name))
    return lines


def _differences(of_rows: Values, table: Table) -> list[str]:
    first, rows = table.rows[0].name, []
    for metric in measured(of_rows):
        # parts of a choice: each rate of fine-tuning alone, and what layers are chosen by
        if metric.protocol == 'finetune' and metric.layer != BEST or metric.name == CHOICE:
            continue
        for row, found in of_rows.items():
            pair = None if row == first else paired(found.get(metric, {}),
                                                    of_rows.get(first, {}).get(metric, {}))
            if pair:
                rows.append([row, str(metric), pair.text(decimals(metric.protocol)),
                             str(pair.count), pair.verdict])
    if not rows:
        return []
    return [f'## Differences to {first}', '',
            'Mean and standard error of the differences over the seeds that both rows have. '
            f'"No difference seen" unless there are {PAIRS} pairs at least and the mean is more '
            f'than {ERRORS:g} standard errors from 0; many comparisons are made here, each alone.',
            '', *_lines(['row', 'metric', 'difference', 'pairs', 'verdict'], rows)]


def _signals(records: Sequence[dict]) -> list[str]:
    found = correlations(records)
    if not found:
        return []
    rows = [[str(metric), f'{correlation:.2f}', str(count)] for metric, correlation, count in found]
    return ['## Signals', '',
            'Rank correlation (Spearman) with the linear mIoU of the same layer, over all rows and '
            'seeds (n); seeds of a row are not independent of each other.', '',
            *_lines(['metric', 'correlation', 'n'], rows)]


def _cost(records: Sequence[dict]) -> list[str]:
    rows = []
    for name in dict.fromkeys(one['row'] for one in records):
        own = [one for one in records if one['row'] == name]
        minutes = mean_of([one['seconds'] / 60 for one in own])
        # all seeds have one schedule; not every run has counted
        forwards = next((one['forwards'] for one in own if one['forwards'] is not None), None)
        rows.append([name, str(own[0]['steps']), str(own[0]['images']),
                     '-' if forwards is None else str(forwards), str(minutes), own[0]['config']])
    return ['## Cost of the weights', '',
            'Images: iterations times images of an iteration over all processes. Forwards: images '
            'that passed a network, one for each view and network, where the run counted them. '
            'Minutes: wall time, that of interrupted attempts included.',
            '', *_lines(['row', 'steps', 'images', 'forwards', 'minutes', 'config'], rows)]


def _provenance(records: Sequence[dict]) -> list[str]:
    found = dict.fromkeys(
        ', '.join(f'{name} {value}' for name, value in one['versions'].items() if value)
        for one in records)
    budgets = sorted({one['budget'] for one in records if one['budget']})    # random: None
    lines = [f'Made with {one}.' for one in found]
    if budgets:
        lines.append('Budget: ' + ', '.join(f'{budget:g}' for budget in budgets)
                     + ' of the schedules in the configs.')
    if any(one['amp'] for one in records):
        lines.append('Trained in mixed precision'
                     + (', some of them.' if any(not one['amp'] for one in records if one['steps'])
                        else '.'))
    return [*lines, '']


def page(records: Sequence[dict], table: Table, seeds: Sequence[int]) -> str:
    """Return the page: means, differences, cost, what was not run, and published values apart.

    Args:
        records: of ``record``.
        table: that they are of.
        seeds: that a whole table has.
    """
    of_rows = {row.name: found for row in table.rows if (found := values(records, row.name))}
    lines = [f'# {table.path.stem}', '',
             'Measured: mean ± standard error over seeds, per cent unless said otherwise.', '']
    if records:
        lines += [*_provenance(records), *_results(of_rows), *_differences(of_rows, table),
                  *_signals(records), *_cost(records)]
    there = {(one['row'], one['seed']): one for one in records}
    left = [f'- {row.name}, seed {seed}: {what}' for row in table.rows for seed in seeds
            if (what := ', '.join(there[row.name, seed]['not_run'])
                if (row.name, seed) in there else 'all')]
    if left:
        lines += ['## Not run', '', *left, '']
    if table.published:
        lines += ['## Published', '', 'By others, under other conditions; not to be compared with '
                  'the numbers above.', '',
                  *_lines(['name', 'metric', 'value', 'source'],
                          [[str(one[key]) for key in ('name', 'metric', 'value', 'source')]
                           for one in table.published])]
    return '\n'.join(lines).rstrip() + '\n'
