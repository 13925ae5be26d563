"""Figures of a table: mIoU by row, and mIoU against what the weights cost."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from mmdense.visualization.figures import save

from .definition import Table
from .means import mean_of
from .results import BEST, BEST_LAYER, Metric, values


def _bars(axis, of_rows: dict, metrics: Sequence[Metric]) -> None:
    height = 0.8 / len(metrics)
    for number, metric in enumerate(metrics):
        for place, found in enumerate(of_rows.values()):
            if metric in found:
                mean = mean_of(list(found[metric].values()))
                axis.barh(place - 0.4 + (number + 0.5) * height, mean.mean, height,
                          xerr=mean.error, color=f'C{number}', capsize=3)
    for number, metric in enumerate(metrics):
        axis.plot([], [], 's', color=f'C{number}', label=metric.layer)
    axis.set(yticks=range(len(of_rows)), yticklabels=list(of_rows), xlabel='mIoU, per cent')
    axis.invert_yaxis()


def _points(axis, of_rows: dict, minutes: dict, metrics: Sequence[Metric]) -> None:
    # one layer: names of all rows at all layers would lie on each other
    metric = next((one for one in metrics if one.layer in (BEST, BEST_LAYER)), metrics[-1])
    for number, (row, found) in enumerate(of_rows.items()):
        if metric in found:
            mean = mean_of(list(found[metric].values()))
            axis.errorbar(minutes[row], mean.mean, mean.error, fmt='o', color=f'C{number % 10}',
                          capsize=3, label=row)
    axis.set(xlabel='wall time of the weights, minutes', ylabel=f'mIoU, per cent, {metric.layer}')


def draw(records: Sequence[dict], table: Table, folder: Path) -> list[Path]:
    """Write ``PROTOCOL_rows.png`` and ``PROTOCOL_time.png`` of all protocols that give mIoU.

    Args:
        records: of ``record``.
        table: that they are of.
        folder: for the files.

    Returns:
        their paths.
    """
    of_rows = {row.name: found for row in table.rows if (found := values(records, row.name))}
    minutes = {row: mean_of([one['seconds'] / 60 for one in records if one['row'] == row]).mean
               for row in of_rows}
    metrics = [metric for metric in dict.fromkeys(one for row in of_rows.values() for one in row)
               if metric.name == 'mIoU' and (metric.protocol != 'finetune' or metric.layer == BEST)]
    written = []
    for protocol in dict.fromkeys(metric.protocol for metric in metrics):
        own = [metric for metric in metrics if metric.protocol == protocol]
        for kind in ('rows', 'time'):
            figure = Figure(figsize=(8, 1.5 + 0.6 * len(of_rows) if kind == 'rows' else 4.5),
                            layout='constrained')
            axis = figure.subplots()
            if kind == 'rows':
                _bars(axis, of_rows, own)
            else:
                _points(axis, of_rows, minutes, own)
            axis.set_title(f'{protocol}: mean and standard error over seeds')
            figure.legend(loc='outside right upper', fontsize=8)
            written.append(save(figure, folder / f'{protocol}_{kind}.png'))
    return written
