"""The steps of a row with one seed: each a user's command, and the result it leaves."""
from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.registry import DefaultScope

from mmdense.checkpoints import read_checkpoint
from mmdense.engine.forward_count_hook import FORWARDS
from mmdense.engine.run_config import latest_checkpoint
from mmdense.evaluation.from_config import build_random
from mmdense.evaluation.protocols import LABELLED
from mmdense.files import write_whole

from .definition import Row, Table
from .options import budget_options, format_options, iterations_of, read_with

RESULT = 'result.json'
#: steps of a chain before its fine-tuning: the weights and their frozen evaluation
FROZEN = 2
#: images whose predictions an evaluation keeps, and their folder in that of its step
IMAGES = 4
PREDICTIONS = 'predictions'


@dataclass(frozen=True)
class Settings:
    """How steps are run.

    Attributes:
        work_dir: of the table.
        tools: folder of train.py and the others.
        budget: share of every schedule.
        processes: of a training.
        amp: train in mixed precision.
    """
    work_dir: Path
    tools: Path
    budget: float = 1.0
    processes: int = 2
    amp: bool = False

    def tool(self, name: str) -> str:
        """Return a tool's path as a user types it."""
        return os.path.relpath(self.tools / name)


@dataclass(frozen=True)
class Step:
    """One command, its folder and its result.

    Attributes:
        row, seed: what it belongs to.
        name: such as ``pretrain``.
        folder: of its files.
        fingerprint: of all that decides the result; names the folder too.
        facts: what the result file says beside.
        command: makes the words of the command; None = ``make`` does the work here.
        read: returns what the command left, or raises ValueError.
        make: does the work of a step without a command.
        checkpoint: finds the checkpoint that the step leaves; None = it leaves none.
        start: the step whose checkpoint this one takes.
    """
    row: str
    seed: int
    name: str
    folder: Path
    fingerprint: str
    facts: dict[str, Any]
    command: Callable[[], list[str]] | None
    read: Callable[[], dict[str, Any]]
    make: Callable[[], None] | None = None
    checkpoint: Callable[[], str | None] | None = None
    start: Step | None = None

    @property
    def title(self) -> str:
        """The step's name in messages."""
        return f'{self.row}, seed {self.seed}, {self.name}'

    def result(self) -> dict[str, Any] | None:
        """Return the result file's content if it is this step's, else None."""
        path = self.folder / RESULT
        try:
            found = json.loads(path.read_text())
        except (FileNotFoundError, ValueError):
            return None
        same = isinstance(found, dict) and found.get('fingerprint') == self.fingerprint
        return found if same else None

    def others(self) -> list[Path]:
        """Return folders with this step's results of other settings."""
        found = self.folder.parent.glob(f'{self.folder.name.rpartition("_")[0]}_*/{RESULT}')
        return sorted(path.parent for path in found if self.result() is None)


def fingerprint(*parts: Any) -> str:
    """Return the sha256 of values, as JSON with sorted keys."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def sha256_of(path: str | Path) -> str:
    """Return the sha256 of a file."""
    with open(path, 'rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()


def _folder(settings: Settings, row: Row, seed: int, name: str, key: str) -> Path:
    return settings.work_dir / row.folder / f'seed{seed}' / f'{name}_{key[:8]}'


def _describe(checkpoint: str) -> dict[str, Any]:
    return dict(checkpoint=checkpoint, checkpoint_sha256=sha256_of(checkpoint))


def _describe_run(checkpoint: str, processes: int) -> dict[str, Any]:
    """Say also how many images passed a network, if the run has counted them."""
    counted = read_checkpoint(checkpoint).get('message_hub', {}).get('runtime_info', {})
    forwards = counted.get(FORWARDS)
    return {**_describe(checkpoint), 'forwards': forwards and forwards * processes}


def _need(checkpoint: str | None, folder: Path) -> str:
    if checkpoint is None:
        raise ValueError(f'{folder} has no checkpoint; expected the file that last_checkpoint in '
                         'it names')
    return os.path.relpath(checkpoint)


def _training(row: Row, seed: int, name: str, config: Path, options: dict[str, Any],
              settings: Settings, start: Step | None = None) -> Step:
    """Return the training of a config.

    Args:
        start: the step whose checkpoint it starts from, if any.
    """
    options = {'randomness.seed': seed, **options}
    options |= budget_options(read_with(config, options), settings.budget, config)
    cfg = read_with(config, options)
    key = fingerprint('training', cfg.to_dict(), settings.processes,
                      start and start.fingerprint, *(['amp'] if settings.amp else []))
    folder = _folder(settings, row, seed, name, key)
    steps = iterations_of(cfg, config)
    images = steps * (cfg.get('train_dataloader') or {}).get('batch_size', 1) * settings.processes
    facts = dict(config=os.path.relpath(config), options=options, budget=settings.budget,
                 processes=settings.processes, amp=settings.amp, steps=steps, images=images)

    def latest() -> str | None:
        return latest_checkpoint(str(folder))

    def command() -> list[str]:
        given = dict(options)
        if start is not None:
            given['model.backbone.init_cfg.checkpoint'] = _need(start.checkpoint(), start.folder)
        return [settings.tool('dist_train.sh'), os.path.relpath(config), str(settings.processes),
                '--work-dir', os.path.relpath(folder), '--resume',
                *(['--amp'] if settings.amp else []), '--cfg-options',
                *format_options(given, row.name)]

    return Step(row.name, seed, name, folder, key, facts, command,
                lambda: _describe_run(_need(latest(), folder), settings.processes),
                checkpoint=latest, start=start)


def random_weights(row: Row, seed: int, settings: Settings) -> Step:
    """Return the step that writes random weights of a row's network."""
    cfg = read_with(row.evaluate, row.evaluate_options)
    key = fingerprint('random', cfg.model.to_dict(), seed)
    folder = _folder(settings, row, seed, 'random', key)
    path = folder / 'random.pth'

    def make() -> None:
        with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmseg')):
            model = build_random(cfg, seed)
        content = io.BytesIO()
        torch.save(dict(state_dict={name: tensor.cpu() for name, tensor
                                    in model.state_dict().items()}), content)
        write_whole(content.getvalue(), path)

    facts = dict(config=os.path.relpath(row.evaluate), options={}, budget=None, processes=1,
                 amp=False, steps=0, images=0, forwards=0)
    return Step(row.name, seed, 'random', folder, key, facts, None,
                lambda: _describe(_need(str(path) if path.is_file() else None, folder)), make,
                checkpoint=lambda: str(path) if path.is_file() else None)


def _evaluation(row: Row, seed: int, table: Table, settings: Settings, start: Step) -> Step:
    """Return the frozen evaluation of the checkpoint that ``start`` leaves."""
    beside = not any(other.pretrain is None for other in table.rows)
    cfg = read_with(row.evaluate, row.evaluate_options)
    key = fingerprint('evaluate', cfg.to_dict(), table.protocols, table.layers, beside,
                      start.fingerprint)
    folder = _folder(settings, row, seed, 'evaluate', key)
    path = folder / 'evaluation.json'
    further = ['--cfg-options', *format_options(row.evaluate_options, row.name)] \
        if row.evaluate_options else []

    # without labels nothing is predicted
    pictures = ['--predictions', os.path.relpath(folder / PREDICTIONS), '--images', str(IMAGES)] \
        if {*LABELLED} & {*table.protocols} else []

    def read() -> dict[str, Any]:
        if not path.is_file():
            raise ValueError(f'{path} was not written; expected the results of tools/evaluate.py')
        found = json.loads(path.read_text())['results']
        return dict(metrics={protocol: {layer: found[layer][protocol] for layer in table.layers}
                             for protocol in table.protocols})

    return Step(
        row.name, seed, 'evaluate', folder, key, dict(evaluate=os.path.relpath(row.evaluate)),
        lambda: ['python', settings.tool('evaluate.py'), os.path.relpath(row.evaluate),
                 _need(start.checkpoint(), start.folder), '--protocol', *table.protocols,
                 '--layers', *table.layers, '--seed', str(seed), '--json', os.path.relpath(path),
                 *pictures,
                 # where random weights are a row, they are measured once
                 *([] if beside else ['--no-random']), *further], read, start=start)


def train_and_test(row: Row, seed: int, label: str, config: Path, options: dict[str, Any],
                   test_options: dict[str, Any], settings: Settings, start: Step) -> list[Step]:
    """Return fine-tuning from the checkpoint that ``start`` leaves, and its test.

    Args:
        row, seed: what they belong to.
        label: tells several fine-tunings of a row apart, such as ``lr0.001``; or empty.
        config: of a segmentor.
        options: changes to it in training.
        test_options: changes to it in the test.
        settings: how steps are run.
        start: the step whose checkpoint the training takes.
    """
    tail = label and f'_{label}'
    train = _training(row, seed, f'finetune{tail}', config, options, settings, start)
    key = fingerprint('test', train.fingerprint)
    folder = _folder(settings, row, seed, f'test{tail}', key)
    further = ['--cfg-options', *format_options(test_options, row.name)] if test_options else []

    def read() -> dict[str, Any]:
        written = sorted(folder.glob('*/*.json'), key=lambda path: path.stat().st_mtime)
        if not written:
            raise ValueError(f'{folder} has no */*.json; expected the metrics of tools/test.py')
        found = json.loads(written[-1].read_text())
        place = label.replace('lr', 'lr=')
        return dict(metrics={'finetune': {place: {'mIoU': float(found['mIoU'])}}})

    test = Step(
        row.name, seed, f'test{tail}', folder, key, {},
        lambda: ['python', settings.tool('test.py'), os.path.relpath(config),
                 _need(train.checkpoint(), train.folder), '--work-dir', os.path.relpath(folder),
                 *further], read, start=train)
    return [train, test]


def chain(table: Table, row: Row, seed: int, settings: Settings) -> list[Step]:
    """Return the steps of a row with a seed, in order.

    Raises:
        ValueError: a config that a table cannot train (epochs), a budget not above 0.
    """
    start = random_weights(row, seed, settings) if row.pretrain is None else _training(
        row, seed, 'pretrain', row.pretrain, row.options, settings)
    steps = [start, _evaluation(row, seed, table, settings, start)]
    if table.finetune and row.name in table.finetune.rows:
        for rate in table.finetune.learning_rates:
            tuning = table.finetune
            options = {**tuning.options, 'optim_wrapper.optimizer.lr': rate}
            steps += train_and_test(row, seed, f'lr{rate:g}', tuning.config, options,
                                    tuning.options, settings, start)
    return steps
