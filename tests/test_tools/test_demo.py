"""The demo's end: a table, the next command, and an error where pretraining did not help."""
from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest


@pytest.fixture
def demo(repo, monkeypatch, tmp_path):
    """tools/demo.py with commands that only leave their files; ``demo.scores`` are their mIoUs."""
    spec = importlib.util.spec_from_file_location('demo', repo / 'tools/demo.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    commands = []

    def run(command, log):
        commands.append(command)
        folder = Path(command[command.index('--work-dir') + 1]) if '--work-dir' in command else None
        if command[1] == 'tools/test.py':
            stamp = folder / '20260101'
            stamp.mkdir(parents=True)
            name = folder.parent.name.removeprefix('finetune_')
            (stamp / 'result.json').write_text(json.dumps(dict(mIoU=module.scores[name])))
        elif folder:
            folder.mkdir(parents=True)
            (folder / 'last_checkpoint').write_text(str(folder / 'iter_9.pth'))
        else:
            Path(command[command.index('--out') + 1]).mkdir(parents=True)
        return ''

    monkeypatch.setattr(module, 'run', run)
    monkeypatch.setattr(sys, 'argv', ['demo.py', '--work-dir', str(tmp_path / 'demo')])
    monkeypatch.chdir(repo)
    module.commands = commands
    return module


def test_a_gain_ends_with_the_table_and_the_next_command(demo, capsys):
    demo.scores = dict(random=14.5, densecl=19.25)
    demo.main()
    out = capsys.readouterr().out
    assert '| random | 14.50 |\n| DenseCL | 19.25 |' in out
    assert 'configs/densecl_r50_folder.py' in out
    starts = [c for c in demo.commands if c[0].endswith('dist_train.sh')]
    assert [any('init_cfg.checkpoint=' in part for part in c) for c in starts] == [
        False, False, True]


def test_no_gain_is_an_error(demo):
    demo.scores = dict(random=19.25, densecl=19.25)
    with pytest.raises(SystemExit, match='DenseCL 19.25 is not above random 19.25'):
        demo.main()


def test_a_command_that_fails_stops_the_demo(repo, tmp_path, capsys):
    spec = importlib.util.spec_from_file_location('demo', repo / 'tools/demo.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with pytest.raises(SystemExit, match='ended with 3; see'):
        module.run([sys.executable, '-c', 'print("the reason"); raise SystemExit(3)'],
                   tmp_path / 'log')
    assert 'the reason' in capsys.readouterr().out
    assert 'the reason' in (tmp_path / 'log').read_text()
