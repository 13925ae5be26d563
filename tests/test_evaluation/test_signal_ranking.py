"""Rank correlations of signals with linear mIoU, by hand, and from files of both kinds."""
from __future__ import annotations

import importlib.util
import json
import math
import sys
from pathlib import Path

import pytest

from mmdense.evaluation.signal_ranking import as_markdown, rank_signals, read_results
from tables.results import write_json

LINEAR = [10., 40., 30., 20.]


def write(folder: Path, signals: dict[tuple[str, str], list], linear=LINEAR) -> list[Path]:
    """Write a file of tools/evaluate.py for each of several checkpoints."""
    paths = []
    for number, value in enumerate(linear):
        protocols = dict(linear=dict(mIoU=value, plain_mIoU=1.))
        for (protocol, name), values in signals.items():
            if values[number] is not None:
                protocols.setdefault(protocol, {})[name] = values[number]
        paths.append(folder / f'{number}.json')
        paths[-1].write_text(json.dumps(dict(checkpoint=f'iter_{number}.pth',
                                             results=dict(C4=protocols))))
    return paths


def rows_of(paths: list[Path]) -> dict[str, dict]:
    return {row['signal']: row for row in rank_signals(read_results(paths))}


def test_correlations_are_those_computed_by_hand(tmp_path):
    rows = rows_of(write(tmp_path, {
        ('knn', 'mIoU'): [1, 9, 5, 2],                        # the same order
        ('correspondence', 'within_1'): [9, 1, 2, 5],         # the reverse
        ('correspondence', 'within_2'): [1, 3, 4, 2],         # d = 0 1 1 0: 1 - 6 * 2 / 60
        ('statistics', 'effective_rank'): [1, 2, 2, 1],       # ranks 1.5 3.5 3.5 1.5
        ('statistics', 'feature_std'): [2, 2, 2, 2]}))
    expected = {'knn mIoU': 1, 'correspondence within_1': -1, 'correspondence within_2': 0.8,
                'statistics effective_rank': 4 / math.sqrt(20)}
    for name, value in expected.items():
        assert rows[name]['spearman'] == pytest.approx(value) and rows[name]['n'] == 4
    assert [rows[f'correspondence within_{n}']['chosen_linear'] for n in (1, 2)] == [10, 30]
    assert rows['knn mIoU']['chosen'] == 'iter_1.pth'
    assert (rows['knn mIoU']['best_linear'], rows['knn mIoU']['worst_linear']) == (40, 10)
    assert rows['statistics effective_rank']['chosen'] is None       # two are highest
    assert rows['statistics feature_std']['spearman'] is None


def test_the_table_says_what_is_not_there(tmp_path):
    paths = write(tmp_path, {('knn', 'mIoU'): [1, 9, 5, 2],
                             ('statistics', 'feature_std'): [2, 2, 2, 2],
                             ('statistics', 'effective_rank'): [None, 3., math.nan, 2]})
    lines = as_markdown(rank_signals(read_results(paths))).splitlines()
    assert lines[2:] == [
        '| C4 | knn mIoU | 4 | 1.00 | iter_1.pth | 40.00 | 40.00 | 10.00 |',
        '| C4 | statistics effective_rank | 2 | n/a | iter_1.pth | 40.00 | 40.00 | 20.00 |',
        '| C4 | statistics feature_std | 4 | n/a | n/a | n/a | 40.00 | 10.00 |']


def test_protocols_of_a_checkpoint_may_come_from_several_files(tmp_path):
    paths = write(tmp_path, {})
    for number, path in enumerate(list(paths)):
        content = json.loads(path.read_text())
        content['results'] = dict(C4=dict(knn=dict(mIoU=number)), C5=dict(knn=dict(mIoU=1)))
        paths.append(tmp_path / f'other{number}.json')
        paths[-1].write_text(json.dumps(content))
    assert rows_of(paths)['knn mIoU']['n'] == 4
    content['results']['C4']['knn']['mIoU'] = 7.5
    paths.append(tmp_path / 'again.json')
    paths[-1].write_text(json.dumps(content))
    with pytest.raises(ValueError, match='again.json: knn mIoU of C4 of iter_3.pth is 7.5, and 3'):
        read_results(paths)


def test_rows_and_seeds_of_a_table(tmp_path):
    records = [dict(row=row, seed=seed, metrics=dict(
        linear=dict(C5=dict(mIoU=10. * number + seed)), knn=dict(C5=dict(mIoU=-number - seed))))
        for number, row in enumerate(('random', 'ours')) for seed in (0, 1)]
    table = type('Table', (), dict(path='small.py', published=()))
    write_json(records, table, tmp_path / 'results.json')
    row = rows_of([tmp_path / 'results.json'])['knn mIoU']
    assert row['n'] == 4 and row['chosen'] == 'random, seed 0' and row['spearman'] < 0


@pytest.mark.parametrize(('linear', 'signals', 'message'), [
    ([1., 2.], {('knn', 'mIoU'): [1, 2]}, 'linear mIoU of 2 checkpoints .* at least 3'),
    ([1., math.nan, 2.], {('knn', 'mIoU'): [1, 2, 3]}, 'linear mIoU of 2 checkpoints'),
    ([1., 2., 3.], {}, 'no signal beside linear mIoU .* knn mIoU')])
def test_too_little_is_said(tmp_path, linear, signals, message):
    with pytest.raises(ValueError, match=message):
        rank_signals(read_results(write(tmp_path, signals, linear)))


@pytest.mark.parametrize('text', ['{"resu', '[1]', '{"results": {"C4": 1}}',
                                  '{"results": {"C4": {"knn": {"mIoU": 1}}}}',
                                  '{"measured": [{}]}', '{"config": 1}'])
def test_other_files_are_named(tmp_path, text):
    path = tmp_path / 'other.json'
    path.write_text(text)
    with pytest.raises(ValueError, match='other.json: n.*tools/run_table.py'):
        read_results([path])
    with pytest.raises(FileNotFoundError, match='none.json: no such file'):
        read_results([tmp_path / 'none.json'])


def test_the_tool_prints_and_writes(repo, tmp_path, monkeypatch, capsys):
    paths = write(tmp_path, {('knn', 'mIoU'): [1, 9, 5, 2]})
    spec = importlib.util.spec_from_file_location(
        'rank_signals', repo / 'tools/analysis_tools/rank_signals.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    out = tmp_path / 'new' / 'ranks.json'
    monkeypatch.setattr(sys, 'argv', ['rank_signals.py', *map(str, paths), '--json', str(out)])
    module.main()
    assert '| C4 | knn mIoU | 4 | 1.00 |' in capsys.readouterr().out
    assert json.loads(out.read_text())[0]['spearman'] == pytest.approx(1)


def test_null_is_as_if_it_was_not_measured(tmp_path):
    paths = write(tmp_path, {('knn', 'mIoU'): [1, 9, 5, 2]})
    paths[2].write_text(paths[2].read_text().replace('"mIoU": 5', '"mIoU": null'))
    assert rows_of(paths)['knn mIoU']['n'] == 3
