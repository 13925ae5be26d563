"""Commands, their logs, the lock, and what is run again."""
from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

import pytest
from references.tables import Commands, write_table

from steps.running import StepFailed, missing, run_chains, run_logged
from steps.step import Settings
from tables.chains import chain
from tables.definition import read_table


@pytest.fixture
def make(tmp_path, repo, monkeypatch):
    """Return a function that makes the chain of a row with a seed."""
    path = write_table(tmp_path, repo)
    monkeypatch.chdir(tmp_path)

    def make(row: int, seed: int = 0, **settings):
        table = read_table(path)
        return chain(table, table.rows[row], seed,
                     Settings(Path('work'), repo / 'tools', **settings))

    make.path = path
    return make


def names(steps) -> list[str]:
    return [step.name for step in steps]


def test_commands_are_those_of_a_user(make, repo):
    commands, said = Commands(), []
    assert run_chains([make(2)], repo, commands, said.append) == []
    tools = os.path.relpath(repo / 'tools')
    train, evaluate, *tuning = commands.run
    folder = train[4]
    assert train == [f'{tools}/dist_train.sh', 'pretrain.py', '2', '--work-dir', folder, '--resume',
                     '--cfg-options', 'randomness.seed=0', 'model.queue.size=8']
    assert folder.startswith('work/wider/seed0/pretrain_')
    assert evaluate[:10] == [
        'python', f'{tools}/evaluate.py', 'pretrain.py', f'{folder}/iter_9.pth', '--protocol',
        'knn', 'correspondence', '--layers', 'C4', 'C5']
    assert evaluate[-5:-2] == ['--predictions', f'{Path(evaluate[-6]).parent}/predictions',
                                '--images']
    assert evaluate[-1] == '--no-random'
    assert [command[-1] for command in tuning[::2]] == [
        f'model.backbone.init_cfg.checkpoint={folder}/iter_9.pth'] * 2
    assert [command[1] for command in tuning[1::2]] == [f'{tools}/test.py'] * 2
    assert said[0] == f'$ {" ".join(train)}'
    result = json.loads((Path(folder) / 'result.json').read_text())
    assert (result['steps'], result['images'], result['command']) == (400, 3200, train)
    assert result['forwards'] == 200, 'what each of two processes counted'
    assert {'mmdense', 'torch', 'mmengine', 'mmseg', 'commit'} <= set(result['versions'])
    assert len(result['checkpoint_sha256']) == 64


@pytest.mark.parametrize('hand_on, expected', [
    ('segmentor', ['load_from={}']),
    ('decode_head', ['model.decode_head.init_cfg.type=Pretrained',
                     'model.decode_head.init_cfg.prefix=decode_head.',
                     'model.decode_head.init_cfg.checkpoint={}'])])
def test_what_a_row_hands_on_to_its_fine_tuning(make, repo, hand_on, expected):
    """Instead of the backbone; and a fine-tuning of other weights is another one."""
    plain, commands = make(2), Commands()
    make.path.write_text(make.path.read_text().replace(
        "name='wider',", f"name='wider', hand_on='{hand_on}',"))
    changed = make(2)
    assert [a.fingerprint == b.fingerprint for a, b in zip(plain, changed, strict=True)] \
        == [True] * 2 + [False] * 4
    run_chains([changed], repo, commands, print)
    start = f'{commands.run[0][4]}/iter_9.pth'
    for command in commands.run[2::2]:
        assert command[-len(expected):] == [word.format(start) for word in expected]


def test_finished_steps_are_not_run_again(make, repo):
    run_chains([make(1)], repo, Commands(), print)
    assert missing(make(1)) == []
    commands = Commands()
    run_chains([make(1)], repo, commands, print)
    assert commands.run == []


@pytest.mark.parametrize('change', ['budget', 'processes', 'amp', 'config', 'options'])
def test_results_of_other_settings_are_not_used_and_this_is_said(make, repo, change):
    run_chains([make(2)], repo, Commands(), print)
    config, settings, text = make.path.parent / 'pretrain.py', {}, make.path.read_text()
    if change in ('budget', 'processes', 'amp'):
        settings[change] = dict(budget=0.1, processes=1, amp=True)[change]
    elif change == 'config':
        config.write_text(config.read_text().replace('lr=0.1', 'lr=0.2'))
    else:
        make.path.write_text(text.replace("'model.queue.size': 8", "'model.queue.size': 16"))
    changed, said, commands = make(2, **settings), [], Commands()
    assert names(missing(changed)) == names(changed)
    run_chains([changed], repo, commands, said.append)
    assert len(commands.run) == 6
    assert 'wider, seed 0, pretrain: the result in work/wider/seed0/pretrain_' in said[0]
    assert 'made with another budget' in said[0]
    if change == 'budget':
        assert 'train_cfg.max_iters=40' in commands.run[0]
    if change == 'amp':
        assert '--amp' in commands.run[0]
    if change == 'options':
        make.path.write_text(text)
        assert missing(make(2)) == []


def test_a_result_file_of_another_fingerprint_is_refused(make, repo):
    run_chains([make(1)], repo, Commands(), print)
    step = make(1)[1]
    path = step.folder / 'result.json'
    path.write_text(path.read_text().replace(step.fingerprint, 'f' * 64))
    assert names(missing(make(1))) == ['evaluate']
    path.write_text('{"half')
    assert names(missing(make(1))) == ['evaluate']


def test_an_interrupted_training_goes_on_in_its_folder(make, repo):
    commands = Commands()
    commands.stop = '/pretrain_'
    with pytest.raises(KeyboardInterrupt):
        run_chains([make(1)], repo, commands, print)
    assert names(missing(make(1))) == ['pretrain', 'evaluate']
    again = Commands()
    run_chains([make(1)], repo, again, print)
    assert again.run[0] == commands.run[0] and '--resume' in again.run[0]
    result = make(1)[0].result()
    assert result['attempts'] == 2 and result['seconds'] >= 0
    assert not list(Path('work').rglob('.*.partial'))


def test_a_deleted_checkpoint_is_made_again_only_where_it_is_needed(make, repo):
    run_chains([make(1)], repo, Commands(), print)
    pretrain, evaluate = make(1)
    Path(pretrain.checkpoint()).unlink()
    assert missing(make(1)) == []
    (evaluate.folder / 'result.json').unlink()
    assert names(missing(make(1))) == ['pretrain', 'evaluate']


def test_random_rows_get_weights_of_their_seed(make, repo):
    hashes = set()
    for seed in (0, 1):
        commands = Commands()
        run_chains([make(0, seed)], repo, commands, print)
        assert len(commands.run) == 1 and commands.run[0][3].endswith('/random.pth')
        hashes.add(make(0, seed)[0].result()['checkpoint_sha256'])
    assert len(hashes) == 2
    assert missing(make(0, budget=0.1)) == []


def test_a_failed_step_ends_its_chain_alone(make, repo):
    commands, counted = Commands(), []
    commands.fail = '/seed0/evaluate_'
    failures = run_chains([make(2, 0), make(2, 1)], repo, commands, print, counted.append)
    assert len(failures) == 1 and failures[0].startswith('wider, seed 0, evaluate: ended with 3')
    assert 'the reason\nnot run after it: finetune_lr0.001, test_lr0.001' in failures[0]
    assert make(2, 0)[1].result() is None and missing(make(2, 1)) == []
    assert sum(counted) == 12


def test_a_command_without_results_is_a_failure(make, repo):
    failures = run_chains([make(1)], repo, lambda command, log: None, print)
    assert 'has no checkpoint; expected the file' in failures[0]


def test_a_log_and_its_last_lines(tmp_path):
    code = 'import beside; print(*range(100), sep="\\n"); raise SystemExit(3)'
    (tmp_path / 'beside.py').write_text('')
    with pytest.raises(StepFailed, match='ended with 3; the end of .*log:\n85\n') as error:
        run_logged(['python', '-c', code], tmp_path / 'log', tmp_path)
    assert str(error.value).endswith('\n99')
    assert (tmp_path / 'log').read_text().startswith('0\n1\n')
    with pytest.raises(StepFailed, match='no-such-command could not be started'):
        run_logged(['no-such-command'], tmp_path / 'log', tmp_path)


def test_an_interruption_ends_the_command(tmp_path, monkeypatch):
    def interrupted(self, timeout=None):
        if timeout is None:
            raise KeyboardInterrupt
        return real(self, timeout)

    real = subprocess.Popen.wait
    monkeypatch.setattr(subprocess.Popen, 'wait', interrupted)
    start = time.time()
    with pytest.raises(KeyboardInterrupt):
        run_logged(['sleep', '60'], tmp_path / 'log', tmp_path)
    assert time.time() - start < 10
