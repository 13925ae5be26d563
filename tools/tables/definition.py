"""What a table is: its rows, how they are measured, and over which seeds."""
from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmdense.engine.options import KNOWN_KEYS
from mmdense.evaluation.protocols import PROTOCOLS
from mmdense.mistakes import MissingFile, WrongValue
from steps.options import format_options
from steps.step import folder_name
from steps.training import HANDED_ON

from .row_config import RowConfig

#: set by the table itself
RESERVED = ('randomness.seed', 'work_dir', 'launcher', 'resume')


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes:
        name: is unique in the table.
        pretrain: config of pretraining, a file or bases; None = random weights, or ``checkpoint``.
        options: changes to it, as ``--cfg-options``.
        evaluate: config of the frozen evaluation; its model has the weights' backbone.
        evaluate_options: changes to that one.
        hand_on: which of the weights a fine-tuning starts from, of :data:`HANDED_ON`.
        checkpoint: file with the row's weights, instead of a pretraining; the model of
            ``evaluate`` has its backbone.
        finetune: config of its fine-tuning, where its backbone needs another than the table's.
    """
    name: str
    pretrain: Path | RowConfig | None
    options: dict[str, Any]
    evaluate: Path | RowConfig
    evaluate_options: dict[str, Any]
    hand_on: str = 'backbone'
    checkpoint: str | None = None
    finetune: Path | RowConfig | None = None

    @property
    def random(self) -> bool:
        """Whether its weights are random."""
        return self.pretrain is None and self.checkpoint is None

    @property
    def folder(self) -> str:
        """Name of the row's folder."""
        return folder_name(self.name)


@dataclass(frozen=True)
class Finetune:
    """Fine-tuning of some rows with a segmentor's config, at each of some learning rates."""
    config: Path | RowConfig
    rows: tuple[str, ...]
    learning_rates: tuple[float, ...]
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """A table as its file says.

    Attributes:
        path: of the file.
        rows: in order; differences are to the first.
        protocols: of the frozen evaluation.
        layers: whose maps are evaluated.
        seeds: of all rows.
        finetune: or None.
        published: ``dict(name, metric, value, source)`` each.
    """
    path: Path
    rows: tuple[Row, ...]
    protocols: tuple[str, ...]
    layers: tuple[str, ...]
    seeds: tuple[int, ...]
    finetune: Finetune | None = None
    published: tuple[dict[str, Any], ...] = ()

    def chosen(self, names: Sequence[str] | None) -> tuple[Row, ...]:
        """Return the rows of these names; None = all.

        Raises:
            ValueError: the table has no such row.
        """
        known = [row.name for row in self.rows]
        for name in names or ():
            if name not in known:
                raise WrongValue(f'{self.path}: no row {name!r}; expected some of {known}')
        return tuple(row for row in self.rows if not names or row.name in names)


def check_seeds(seeds: Any, where: str) -> tuple[int, ...]:
    """Return seeds as a tuple.

    Raises:
        ValueError: not a list of different integers from 0 on.
    """
    good = (isinstance(seeds, (list, tuple)) and len(seeds) and len(set(map(str, seeds))) ==
            len(seeds) and all(type(seed) is int and seed >= 0 for seed in seeds))
    if not good:
        raise WrongValue(f'{where}: seeds={seeds!r}; expected different integers from 0 on')
    return tuple(seeds)


def _check_keys(given: Any, required: Sequence[str], optional: Sequence[str], where: str) -> dict:
    if not isinstance(given, dict):
        raise WrongValue(f'{where} is {given!r}; expected a dict')
    for key in given:
        if key not in (*required, *optional):
            raise WrongValue(f'{where}: unknown key {key!r}; expected '
                             f'{", ".join((*required, *optional))}')
    for key in required:
        if key not in given:
            raise WrongValue(f'{where} has no {key!r}')
    return given


def _list(given: Any, where: str, choices: Sequence[str] | None = None) -> tuple[str, ...]:
    if not isinstance(given, (list, tuple)) or not given:
        raise WrongValue(f'{where}={given!r}; expected a list that is not empty')
    for number, one in enumerate(given):
        if not isinstance(one, str) or choices is not None and one not in choices:
            raise WrongValue(f'{where} has {one!r}; expected '
                             + ('a string' if choices is None else f'some of {list(choices)}'))
        if one in given[:number]:
            raise WrongValue(f'{where} has {one!r} twice')
    return tuple(given)


def _file(given: Any, table: Path, where: str) -> Path:
    if not isinstance(given, str):
        raise WrongValue(f'{where}={given!r}; expected the path of a config')
    path = (table.parent / given).resolve()
    if not path.is_file():
        raise MissingFile(f'{where}: no config {given!r}, looked for {path} (paths are '
                          'relative to the table)')
    return path


def _config(given: Any, table: Path, where: str) -> Path | RowConfig:
    if isinstance(given, str) and '::' not in given:
        return _file(given, table, where)
    *bases, last = given if isinstance(given, (list, tuple)) and given else [given]
    settings = _settings(last, where) if isinstance(last, dict) else {}
    bases = bases if isinstance(last, dict) else [*bases, last]
    if not bases or not all(isinstance(base, str) for base in bases):
        raise WrongValue(f'{where}={given!r}; expected the path of a config, or a list of bases '
                         'with at most one dict of settings at its end')
    return RowConfig(tuple(base if '::' in base else str(_file(base, table, where))
                           for base in bases), settings)


def _settings(given: dict, where: str) -> dict[str, Any]:
    for key in given:
        if key in RESERVED:
            raise WrongValue(f'{where}: {key!r} is set by the table runner; remove it')
        if not isinstance(key, str) or not re.fullmatch(r'[A-Za-z_]\w*(\.[A-Za-z_]\w*)*', key):
            raise WrongValue(f'{where}: {key!r} is no dotted name, such as model.queue.size; '
                             'places in lists can be given in options')
        if key.partition('.')[0] not in KNOWN_KEYS:
            raise WrongValue(f'{where}: {key!r} changes nothing, for nothing reads '
                             f'{key.partition(".")[0]!r}')
    return dict(given)


def _options(given: Any, where: str) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise WrongValue(f'{where}={given!r}; expected a dict such as {{"model.queue.size": 64}}')
    for key in given:
        if key in RESERVED:
            raise WrongValue(f'{where}: {key!r} is set by the table runner; remove it')
    format_options(given, where)
    return dict(given)


def _row(given: Any, number: int, evaluate: dict, table: Path) -> Row:
    where = f'{table}: rows[{number}]'
    _check_keys(given, ('name', 'pretrain'), (
        'options', 'evaluate', 'hand_on', 'checkpoint', 'finetune'), where)
    name = given['name']
    if not isinstance(name, str) or not re.search(r'\w', name) or re.search(r'[|\n]', name):
        raise WrongValue(f'{where}: name={name!r}; expected words without | and line breaks')
    where = f'{table}: row {name!r}'
    pretrain = given['pretrain']
    pretrain = None if pretrain is None else _config(pretrain, table, f'{where}, pretrain')
    options = _options(given.get('options', {}), f'{where}, options')
    if pretrain is None and options:
        raise WrongValue(f'{where}: options change a pretraining, and pretrain is None')
    checkpoint = given.get('checkpoint')
    if checkpoint is not None and (pretrain is not None or not isinstance(checkpoint, str)):
        raise WrongValue(f'{where}: checkpoint={checkpoint!r}; expected the path of a file, and '
                         'pretrain=None beside it')
    tuning = given.get('finetune')
    tuning = None if tuning is None else _config(tuning, table, f'{where}, finetune')
    hand_on = given.get('hand_on', 'backbone')
    if hand_on not in HANDED_ON:
        raise WrongValue(f'{where}: hand_on={hand_on!r}; expected one of {list(HANDED_ON)}')
    own = given.get('evaluate', evaluate.get('config'))
    if own is None and pretrain is None:
        raise WrongValue(f'{where}: weights of which network? Expected evaluate with a '
                         'config, in the row or in the table')
    further = _options(evaluate.get('options', {}), f'{table}: evaluate.options')
    if own is None:
        return Row(name, pretrain, options, pretrain, {**options, **further}, hand_on,
                   finetune=tuning)
    return Row(name, pretrain, options, _config(own, table, f'{where}, evaluate'), further, hand_on,
               checkpoint, tuning)


def _rows(given: Any, evaluate: dict, table: Path) -> tuple[Row, ...]:
    if not isinstance(given, (list, tuple)) or not given:
        raise WrongValue(f'{table}: rows={given!r}; expected a list of dicts')
    rows = [_row(row, number, evaluate, table) for number, row in enumerate(given)]
    for number, row in enumerate(rows):
        for other in rows[:number]:
            if row.name == other.name:
                raise WrongValue(f'{table}: two rows have the name {row.name!r}')
            if row.folder == other.folder:
                raise WrongValue(f'{table}: the rows {other.name!r} and {row.name!r} would share '
                                 f'the folder {row.folder}; expected other names')
    return tuple(rows)


def _finetune(given: Any, names: list[str], table: Path) -> Finetune:
    where = f'{table}: finetune'
    _check_keys(given, ('config', 'rows', 'learning_rates'), ('options',), where)
    rates = given['learning_rates']
    good = isinstance(rates, (list, tuple)) and rates and len(set(map(str, rates))) == len(rates)
    if not good or not all(type(rate) in (int, float) and rate > 0 for rate in rates):
        raise WrongValue(f'{where}.learning_rates={rates!r}; expected different numbers above 0')
    return Finetune(_config(given['config'], table, f'{where}.config'),
                    _list(given['rows'], f'{where}.rows', names), tuple(map(float, rates)),
                    _options(given.get('options', {}), f'{where}.options'))


def _published(given: Any, table: Path) -> tuple[dict[str, Any], ...]:
    if not isinstance(given, (list, tuple)):
        raise WrongValue(f'{table}: published={given!r}; expected a list of dicts')
    for number, one in enumerate(given):
        where = f'{table}: published[{number}]'
        _check_keys(one, ('name', 'metric', 'value', 'source'), (), where)
        if type(one['value']) not in (int, float):
            raise WrongValue(f'{where}: value={one["value"]!r}; expected a number')
        if not str(one['source']).strip():
            raise WrongValue(f'{where} has an empty source')
    return tuple(map(dict, given))


def read_table(path: str | Path) -> Table:
    """Read and check a table's file; nothing of it is run.

    Args:
        path: config file with ``rows``, ``evaluate``, ``seeds`` and maybe ``finetune`` and
            ``published``. Names that begin with an underscore are the author's own.

    Raises:
        FileNotFoundError: no such table, or a config that it names is not there.
        ValueError: an unknown key, a double row name, a value of another kind.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFile(f'table {path}: no such file (looked in {Path.cwd()})')
    try:
        given = Config.fromfile(path).to_dict()
    except Exception as error:     # whatever the author's Python raises
        raise WrongValue(f'table {path} could not be read: '
                         f'{type(error).__name__}: {error}') from None
    given = {key: value for key, value in given.items() if not key.startswith('_')}
    _check_keys(given, ('rows', 'evaluate'), ('seeds', 'finetune', 'published'), str(path))
    evaluate = _check_keys(given['evaluate'], ('protocols',), ('config', 'layers', 'options'),
                           f'{path}: evaluate')
    rows = _rows(given['rows'], evaluate, path)
    finetune = given.get('finetune')
    tuned = finetune.get('rows', ()) if isinstance(finetune, dict) else ()
    for row in rows:
        if row.hand_on != 'backbone' and row.name not in tuned:
            raise WrongValue(f'{path}: row {row.name!r}: hand_on={row.hand_on!r} is for '
                             'fine-tuning, and finetune.rows does not have the row')
    return Table(
        path, rows, _list(evaluate['protocols'], f'{path}: evaluate.protocols', PROTOCOLS),
        _list(evaluate.get('layers', ['last']), f'{path}: evaluate.layers'),
        check_seeds(given.get('seeds', [0, 1, 2]), str(path)),
        finetune and _finetune(finetune, [row.name for row in rows], path),
        _published(given.get('published', []), path))
