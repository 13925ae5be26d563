"""The steps of a row with one seed: its weights, their frozen evaluation, their fine-tuning."""
from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmdense.digests import digest
from mmdense.evaluation.protocols import LABELLED
from mmdense.mistakes import WrongValue
from steps.options import format_options, read_with
from steps.step import Settings, Step, need
from steps.training import given_weights, random_weights, train, train_and_test

from .definition import Row, Table
from .row_config import RowConfig, config_file

#: steps of a chain before its fine-tuning: the weights and their frozen evaluation
FROZEN = 2
#: images whose predictions an evaluation keeps, and their folder in that of its step
IMAGES = 4
PREDICTIONS = 'predictions'


def _evaluation(row: Row, seed: int, table: Table, settings: Settings, start: Step,
                config: Path) -> Step:
    """Return the frozen evaluation, by ``config``, of the checkpoint that ``start`` leaves."""
    beside = not any(other.random for other in table.rows)
    cfg = read_with(config, row.evaluate_options)
    key = digest('evaluate', cfg.to_dict(), table.protocols, table.layers, beside,
                      start.fingerprint)
    folder = settings.folder(row.name, seed, 'evaluate', key)
    path = folder / 'evaluation.json'
    further = ['--cfg-options', *format_options(row.evaluate_options, row.name)] \
        if row.evaluate_options else []

    # without labels nothing is predicted
    pictures = ['--predictions', os.path.relpath(folder / PREDICTIONS), '--images', str(IMAGES)] \
        if {*LABELLED} & {*table.protocols} else []

    def read() -> dict[str, Any]:
        if not path.is_file():
            raise WrongValue(f'{path} was not written; expected the results of tools/evaluate.py')
        found = json.loads(path.read_text())['results']
        return dict(metrics={protocol: {layer: found[layer][protocol] for layer in table.layers}
                             for protocol in table.protocols})

    return Step(
        row.name, seed, 'evaluate', folder, key, dict(evaluate=os.path.relpath(config)),
        lambda: ['python', settings.tool('evaluate.py'), os.path.relpath(config),
                 need(start.checkpoint(), start.folder), '--protocol', *table.protocols,
                 '--layers', *table.layers, '--seed', str(seed), '--json', os.path.relpath(path),
                 *pictures,
                 # where random weights are a row, they are measured once
                 *([] if beside else ['--no-random']), *further], read, start=start)


def chain(table: Table, row: Row, seed: int, settings: Settings) -> list[Step]:
    """Return the steps of a row with a seed, in order.

    Raises:
        ValueError: a config that a table cannot train (epochs).
    """
    folder = settings.work_dir / row.folder
    evaluate = config_file(row.evaluate, folder, 'pretrain')
    if row.checkpoint is not None:
        start = given_weights(row.name, seed, row.checkpoint, settings)
    elif row.pretrain is None:
        start = random_weights(row.name, seed, evaluate, row.evaluate_options, settings)
    else:
        start = train(row.name, seed, 'pretrain', config_file(row.pretrain, folder, 'pretrain'),
                      row.options, settings)
    if isinstance(row.pretrain, RowConfig):
        # what it was made of says more than where it lies
        start = replace(start, facts={**start.facts, 'config': str(row.pretrain)})
    steps = [start, _evaluation(row, seed, table, settings, start, evaluate)]
    if table.finetune and row.name in table.finetune.rows:
        tuning = table.finetune
        config = config_file(row.finetune, folder, 'finetune') if row.finetune else \
            config_file(tuning.config, settings.work_dir, 'finetune')
        for rate in tuning.learning_rates:
            options = {**tuning.options, 'optim_wrapper.optimizer.lr': rate}
            steps += train_and_test(row.name, seed, f'lr{rate:g}', config, options,
                                    tuning.options, settings, start, row.hand_on)
    return steps
