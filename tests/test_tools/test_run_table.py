"""tools/run_table.py with commands that only leave their files."""
from __future__ import annotations

import importlib.util
import json
import sys

import pytest
from references.tables import Commands, write_table

from mmdense.errors import run_command
from mmdense.files import LOCK, locked


@pytest.fixture
def commands() -> Commands:
    return Commands()


@pytest.fixture
def run(repo, tmp_path, monkeypatch, commands):
    """Call the tool as a command does, in a folder with ``table.py``."""
    spec = importlib.util.spec_from_file_location('run_table', repo / 'tools/run_table.py')
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    write_table(tmp_path, repo)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tool, 'run_logged', commands)
    draw = tool.draw
    # drawing takes longer than all else here
    monkeypatch.setattr(tool, 'draw', lambda records, table, folder: draw(
        [{**one, 'metrics': {}} for one in records] if commands.quick else records, table, folder))

    def call(*arguments: str) -> None:
        monkeypatch.setattr(sys, 'argv', ['run_table.py', 'table.py', *arguments])
        run_command(tool.main)

    return call


def test_a_table_is_run_once_and_written(run, commands, tmp_path, capsys):
    commands.quick = False
    run()
    commands.quick = True
    work = tmp_path / 'work_dirs/tables/table'
    # per seed: random is evaluated, DenseCL trained and evaluated, wider also tuned twice
    assert len(commands.run) == 2 * (1 + 2 + 6)
    assert commands.named('/seed1/')[0] is commands.run[9], 'one seed of all rows, then the next'
    said = capsys.readouterr()
    assert 'results: work_dirs/tables/table/results.md' in said.out
    assert '$ ' in said.err and 'dist_train.sh pretrain.py 2 --work-dir' in said.err
    text = (work / 'results.md').read_text()
    assert '| DenseCL, a | 2 | 20.50 ± 0.50 | 20.50 ± 0.50 |' in text
    assert '| DenseCL, a | knn C5 mIoU | 10.00 ± 0.00 | 2 | no difference seen |' in text
    assert '| wider | 2 | 30.50 ± 0.50 | 40.50 ± 0.50 | 40.50 ± 0.50 |' in text
    assert '## Not run' not in text
    measured = json.loads((work / 'results.json').read_text())['measured']
    assert len(measured) == 6 and {'config', 'options', 'seed', 'versions', 'commit', 'steps',
                                   'images', 'seconds', 'checkpoint_sha256', 'metrics'} <= set(
                                       measured[-1])
    assert (work / 'results.csv').is_file()
    assert (work / 'predictions.png').is_file()
    assert (work / 'plots/knn_rows.png').is_file() and (work / 'plots/knn_time.png').is_file()
    run()
    assert len(commands.run) == 18, 'nothing is run twice'


def test_rows_seeds_budget_and_processes(run, commands, tmp_path):
    run('--rows', 'DenseCL, a', '--seeds', '7', '--budget', '0.1', '--processes', '3',
        '--work-dir', 'out')
    train, evaluate = commands.run
    assert train[2] == '3' and {'randomness.seed=7', 'train_cfg.max_iters=40'} <= set(train)
    assert evaluate[evaluate.index('--seed') + 1] == '7'
    text = (tmp_path / 'out/results.md').read_text()
    assert '- DenseCL, a, seed 0: all' in text and '- random, seed 7: all' in text
    assert 'Budget: 0.1 of the schedules' in text


def test_fine_tuning_can_be_left_for_later(run, commands, tmp_path):
    run('--no-finetune', '--amp')
    assert len(commands.run) == 2 * (1 + 2 + 2) and not commands.named('finetune')
    assert sum('--amp' in command for command in commands.run) == 2 * 2
    text = (tmp_path / 'work_dirs/tables/table/results.md').read_text()
    assert '- wider, seed 0: finetune_lr' in text and 'Trained in mixed precision.' in text
    run('--amp')
    assert len(commands.run) == 18


def test_a_failed_row_is_told_the_rest_goes_on_and_the_end_is_an_error(run, commands, tmp_path,
                                                                       capsys):
    commands.fail = 'densecl-a/seed0/pretrain_'
    with pytest.raises(SystemExit) as end:
        run()
    assert end.value.code == 1
    said = capsys.readouterr().err
    assert 'error: 1 failed:' in said and 'DenseCL, a, seed 0, pretrain: ended with 3' in said
    assert 'the reason' in said and 'not run after it: evaluate' in said
    text = (tmp_path / 'work_dirs/tables/table/results.md').read_text()
    assert '| DenseCL, a | 1 | 21.00 | 21.00 |' in text and '- DenseCL, a, seed 0: all' in text
    commands.fail = ''
    commands.run.clear()
    run()
    assert len(commands.run) == 2


def test_an_interrupted_table_goes_on(run, commands, tmp_path, monkeypatch):
    commands.stop = 'wider/seed0/pretrain_'
    monkeypatch.setattr('signal.signal', lambda *_: None)       # the tests stay interruptible
    with pytest.raises(SystemExit) as end:
        run()
    assert end.value.code == 130
    text = (tmp_path / 'work_dirs/tables/table/results.md').read_text()
    assert '| DenseCL, a | 1 | 20.00 | 20.00 |' in text and '- wider, seed 0: all' in text
    before, commands.stop = len(commands.run), ''
    run()
    assert commands.run[before] == commands.run[before - 1], 'the same command, which resumes'
    assert len(commands.run) == 18 + 1


@pytest.mark.parametrize('arguments, message', [
    (('--rows', 'x'), "no row 'x'"), (('--budget', '0'), 'budget=0.0: expected a number above 0'),
    (('--gpus', '1', '1'), '--gpus 1 1: expected different numbers from 0 on'),
    (('--seeds', '1', '1'), '--seeds: seeds=[1, 1]; expected different integers')])
def test_mistakes_end_before_anything_is_run(run, commands, capsys, tmp_path, arguments, message):
    with pytest.raises(SystemExit) as end:
        run(*arguments)
    assert end.value.code == 1 and message in capsys.readouterr().err
    assert commands.run == [] and not (tmp_path / 'work_dirs').exists()


def test_two_runs_in_one_folder_are_refused(run, commands, capsys, tmp_path):
    with locked(tmp_path / 'out' / LOCK), pytest.raises(SystemExit):
        run('--work-dir', 'out')
    assert 'error: out is in use by another run' in capsys.readouterr().err
    assert commands.run == []


def test_gpus_give_the_same_files_as_one_process(run, commands, tmp_path, capsys):
    run('--processes', '1', '--work-dir', 'one')
    alone = sorted(map(tuple, commands.run))
    commands.run.clear()
    commands.settings.clear()
    run('--gpus', '2', '0', '--work-dir', 'many')
    assert sorted(tuple(word.replace('many/', 'one/') for word in words)
                  for words in commands.run) == alone
    assert {found['gpu'] for found in commands.settings} <= {0, 2}
    assert '] $ python' in capsys.readouterr().err
    for name in ('results.csv', 'results.md'):
        one, many = ((tmp_path / folder / name).read_text().splitlines()
                     for folder in ('one', 'many'))
        # wall times differ
        assert [line.rpartition(',')[0] for line in one if name.endswith('csv')] == [
            line.rpartition(',')[0] for line in many if name.endswith('csv')]
        assert len(one) == len(many)
    with pytest.raises(SystemExit) as end:
        run('--gpus', '0', '--processes', '2')
    assert end.value.code == 2 and 'not allowed with argument' in capsys.readouterr().err


def test_results_of_another_machine_stand_beside_those_of_this_one(run, commands, tmp_path,
                                                                   capsys):
    """Seed 1 comes from elsewhere; a seed that is here too keeps its own numbers."""
    run('--no-finetune')
    there = json.loads((tmp_path / 'work_dirs/tables/table/results.json').read_text())
    there['measured'] = [one for one in there['measured'] if one['row'] != 'wider']
    for one in there['measured']:
        one['metrics']['knn']['C5']['mIoU'] += 100
        del one['forwards']     # as an earlier version wrote it
    (tmp_path / 'there.json').write_text(json.dumps(there))
    run('--no-finetune', '--seeds', '0', '--work-dir', 'here', '--add', 'there.json')
    text = (tmp_path / 'here/results.md').read_text()
    assert '| DenseCL, a | 2 | 20.50 ± 0.50 | 70.50 ± 50.50 |' in text
    assert '| wider | 1 | 20.00 | 20.00 |' in text and '- wider, seed 1: all' in text
    found = json.loads((tmp_path / 'here/results.json').read_text())['measured']
    assert [(one['row'], one['seed']) for one in found] == [
        ('random', 0), ('random', 1), ('DenseCL, a', 0), ('DenseCL, a', 1), ('wider', 0)]
    capsys.readouterr()
    for content, said in ((None, 'no such file'), ('{"a": 1}', 'expected a results.json'),
                          ('{"measured": [{"row": "x"}]}', "rows ['x']; expected some of")):
        if content:
            (tmp_path / 'bad.json').write_text(content)
        with pytest.raises(SystemExit):
            run('--add', 'bad.json')
        assert f'--add bad.json: {said}' in capsys.readouterr().err


def test_weights_that_are_there_are_a_row(run, commands, tmp_path):
    """Their file is evaluated and stands on the page; no step trains."""
    (tmp_path / 'w.pth').write_bytes(b'weights')
    table = tmp_path / 'table.py'
    table.write_text(table.read_text().replace(
        "'random', pretrain=None", "'random', pretrain=None, checkpoint='w.pth', "
        "evaluate='pretrain.py'"))
    run('--rows', 'random', '--seeds', '0')
    assert len(commands.run) == 1 and 'w.pth' in commands.run[0]
    text = (tmp_path / 'work_dirs/tables/table/results.md').read_text()
    assert '| random | 0 | 0 | 0 |' in text and 'w.pth |' in text
