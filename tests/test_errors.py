"""A user's mistake ends a command with one line; anything else keeps its stack."""
from __future__ import annotations

import ast
import builtins
import subprocess
import sys
from pathlib import Path

import pytest
from mmengine.registry import MODELS
from references.tiny import BACKBONE
from torch.utils.data import DataLoader, Dataset

from mmdense.checkpoints.reading import read_checkpoint
from mmdense.datasets.samplers import ResumableSampler
from mmdense.errors import run_command, user_message
from mmdense.mistakes import Mistake
from mmdense.models.selfsup.base import DenseSSL

ROOT = Path(__file__).resolve().parents[1]


class FaultyDataset(Dataset):
    """Makes mistakes of the user in a worker process, the last one wrapped by another error."""

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int):
        if index == 2:
            try:
                ResumableSampler([], seed=0)
            except ValueError as error:
                raise RuntimeError('of somebody else') from error
        return read_checkpoint('nowhere.pth') if index else ResumableSampler([], seed=0)


def caught(action) -> Exception:
    with pytest.raises(Exception) as info:  # noqa: B017
        action()
    return info.value


def test_what_this_package_raises_is_a_users_mistake():
    error = caught(lambda: ResumableSampler([], seed=0))
    assert user_message(error) == 'ResumableSampler: the list has no samples'
    error = caught(lambda: MODELS.build(dict(type='mmdense.DensCL')))
    assert user_message(error).startswith("'mmdense.DensCL' is not a registered model")


def test_a_wrapped_mistake_counts():
    def wrapping():
        try:
            ResumableSampler([], seed=0)
        except ValueError as error:
            raise RuntimeError('wrapped') from error
    assert user_message(caught(wrapping)) == 'ResumableSampler: the list has no samples'


def test_a_mistake_found_by_a_worker_counts():
    for order in ([0], [1], [2]):
        direct = user_message(caught(lambda order=order: FaultyDataset()[order[0]]))
        error = caught(lambda order=order: list(DataLoader(FaultyDataset(), num_workers=1,
                                                           sampler=order)))
        assert 'Original Traceback' in str(error)
        assert user_message(error) == direct


@pytest.mark.situation('lost runs', 'the disk is full while something else, such as a log of '
                       'mmengine, is written', 'error', 'one line says that the disk is full')
def test_a_full_disk_is_the_users_whoever_writes():
    def write():
        with open('/dev/full', 'w') as file:
            file.write('a line of a log')
    assert user_message(caught(write)).startswith('the disk is full: [Errno 28] No space left')
    assert user_message(caught(lambda: open('/nowhere/file'))) is None


def test_a_bug_keeps_its_stack():
    assert user_message(caught(lambda: [][1])) is None
    # raised inside this package, but no mistake of a user
    assert user_message(caught(lambda: ResumableSampler(None, seed=0))) is None
    assert user_message(caught(lambda: DenseSSL(BACKBONE).loss([], None))) is None
    with pytest.raises(ZeroDivisionError):
        run_command(lambda: 1 / 0)


def test_command_prints_one_line_and_ends_with_one(capsys, monkeypatch):
    monkeypatch.delenv('LOCAL_RANK', raising=False)
    with pytest.raises(SystemExit) as info:
        run_command(lambda: ResumableSampler([], seed=0))
    assert info.value.code == 1
    assert capsys.readouterr().err == 'error: ResumableSampler: the list has no samples\n'
    monkeypatch.setenv('MMDENSE_DEBUG', '1')
    with pytest.raises(ValueError, match='no samples'):
        run_command(lambda: ResumableSampler([], seed=0))


#: errors that only a caller in code can cause: an abstract method, a constructor's arguments (told
#: by component_errors), a list's index, what Python or a reader turns into another error
PLAIN = {'NotImplementedError', 'AttributeError', 'IndexError', 'UnpicklingError', 'ImportError',
         'SystemExit', 'Stopped', 'Terminated', 'argparse.ArgumentTypeError'}


def test_what_we_raise_is_a_mistake_of_the_user():
    """A plain builtin error would end a command with a stack."""
    plain = []
    for path in sorted([*(ROOT / 'mmdense').rglob('*.py'), *(ROOT / 'tools').rglob('*.py')]):
        for node in ast.walk(ast.parse(path.read_text())):
            raised = getattr(node, 'exc', None) if isinstance(node, ast.Raise) else None
            name = ast.unparse(raised.func if isinstance(raised, ast.Call) else raised) \
                if raised else ''
            if hasattr(builtins, name) and name not in PLAIN:
                plain.append((path.name, name))
    # mmengine's words for missing arguments; a pipe, which the writer tells; no OpenMMLab
    assert plain == [('__init__.py', 'ModuleNotFoundError'), ('files.py', 'OSError'),
                     ('two_branch.py', 'TypeError')]


@pytest.mark.parametrize('kind', Mistake.__subclasses__())
def test_a_mistake_is_the_builtin_error_too(kind):
    """And is made of one text, as torch makes an error of a worker anew."""
    assert any(base.__module__ == 'builtins' for base in kind.__bases__)
    assert 'what is wrong' in str(kind('what is wrong'))


@pytest.mark.situation('commands', 'Ctrl-C', 'works', 'one line, "interrupted", and exit code 130')
def test_ctrl_c_prints_one_line(capsys, monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.delenv('LOCAL_RANK', raising=False)
    monkeypatch.setattr('signal.signal', lambda *_: None)       # the tests stay interruptible
    with pytest.raises(SystemExit) as info:
        run_command(interrupted)
    assert info.value.code == 130
    assert capsys.readouterr().err == 'interrupted\n'
    monkeypatch.setenv('LOCAL_RANK', '1')       # it reaches all processes: the first one speaks
    with pytest.raises(SystemExit):
        run_command(interrupted)
    assert capsys.readouterr().err == ''
    monkeypatch.setenv('MMDENSE_DEBUG', '1')
    with pytest.raises(KeyboardInterrupt):
        run_command(interrupted)


@pytest.mark.parametrize('tool', sorted(
    str(path.relative_to(ROOT)) for path in (ROOT / 'tools').rglob('*.py')
    # torchrun.py ends as torch's does; the others are shared by tools
    if path.name != 'torchrun.py' and "__name__ == '__main__'" in path.read_text()))
def test_every_tool_ends_ctrl_c_in_one_line(tool):
    text = (ROOT / tool).read_text()
    assert any(way in text for way in ('run_command(main)', 'run_alone(main)',
                                       'except KeyboardInterrupt'))


def test_a_missing_config_is_one_line_on_the_shell(repo, tmp_path):
    done = subprocess.run([sys.executable, '-W', 'ignore', repo / 'tools/train.py', 'no.py'],
                          cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith('error: config no.py: no such file')
    assert 'Traceback' not in done.stderr
