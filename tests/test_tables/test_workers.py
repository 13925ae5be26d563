"""Chains on several GPUs at once, with commands that only leave their files."""
from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from references.tables import Commands, write_table

from steps.running import StepFailed, Stopped, missing, run_logged
from steps.step import Settings
from tables.chains import chain
from tables.definition import read_table
from tables.workers import check_gpus, run_on_gpus


@pytest.fixture
def chains(tmp_path, repo, monkeypatch):
    path = write_table(tmp_path, repo)
    monkeypatch.chdir(tmp_path)
    table = read_table(path)
    settings = Settings(Path('work'), repo / 'tools', processes=1)
    return lambda: [chain(table, row, seed, settings) for seed in (0, 1) for row in table.rows]


class OnGPUs:
    """Commands that note where they ran; the first two chains wait for each other."""

    def __init__(self) -> None:
        self.commands, self.where, self.folders = Commands(), [], []
        self.barrier, self.lock = threading.Barrier(2), threading.Lock()

    def __call__(self, gpu: int, stop: threading.Event):
        def run(command: list[str], log: Path) -> None:
            if any(name in str(log) for name in ('random/seed0/evaluate', 'densecl-a/seed0/pre')):
                self.barrier.wait(60)       # fails unless another chain runs meanwhile
            with self.lock:
                self.where.append(gpu)
                self.folders.append(log.parent)
                self.commands(command, log)
        return run


def test_chains_run_at_once_and_each_step_once(chains, repo):
    gpus, said, counted = OnGPUs(), [], []
    assert run_on_gpus(chains() + chains()[:2], (3, 5), repo, gpus, said.append,
                       counted.append) == []
    assert len(gpus.folders) == len(set(gpus.folders)) == 18
    assert set(gpus.where) == {3, 5}
    assert all(line.startswith(('[GPU 3] ', '[GPU 5] ')) for line in said)
    assert sum(counted) == 20 and all(missing(steps) == [] for steps in chains())
    # a seed's weights do not depend on who built them meanwhile
    hashes = {steps[0].result()['checkpoint_sha256'] for steps in (chains()[0], chains()[3])}
    assert len(hashes) == 2


def test_a_failure_stops_no_other_chain(chains, repo):
    gpus = OnGPUs()
    gpus.commands.fail = 'wider/seed0/pretrain_'
    failures = run_on_gpus(chains(), (0, 1), repo, gpus, print)
    assert len(failures) == 1 and failures[0].startswith('wider, seed 0, pretrain: ended with 3')
    left = [steps[0].title for steps in chains() if missing(steps)]
    assert left == ['wider, seed 0, pretrain']


def test_an_error_in_a_worker_is_the_callers(chains, repo):
    before = threading.active_count()

    def run_on(gpu, stop):
        def run(command, log):
            raise RuntimeError('a bug')
        return run

    with pytest.raises(RuntimeError, match='a bug'):
        run_on_gpus(chains(), (0, 1), repo, run_on, print)
    assert threading.active_count() == before


def test_a_command_sees_its_gpu_and_ends_when_all_end(tmp_path):
    words = [sys.executable, '-c', 'import os; print(os.environ["CUDA_VISIBLE_DEVICES"])']
    run_logged(words, tmp_path / 'log', tmp_path, gpu=7, stop=threading.Event())
    assert (tmp_path / 'log').read_text() == '7\n'
    stop, start = threading.Event(), time.time()
    threading.Timer(0.5, stop.set).start()
    with pytest.raises(Stopped):
        run_logged(['sleep', '60'], tmp_path / 'log', tmp_path, stop=stop)
    assert time.time() - start < 20
    with pytest.raises(Stopped):
        run_logged(['no-such-command'], tmp_path / 'log', tmp_path, stop=stop)
    with pytest.raises(StepFailed, match='could not be started'):
        run_logged(['no-such-command'], tmp_path / 'log', tmp_path, stop=threading.Event())


SCRIPT = '''
import signal
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from steps import running
from tables import workers

def run_chains(chains, root, run, say, done):
    name = chains[0][0].folder.name
    run([sys.executable, '-c', f'import os, time; open("{name}", "w").write(str(os.getpid())); '
         'time.sleep(60)'], Path(f'{name}.log'))
    return []

# a shell lets what it starts in the background ignore SIGINT
signal.signal(signal.SIGINT, signal.default_int_handler)
workers.run_chains = run_chains
chains = [[SimpleNamespace(folder=Path(f'chain{number}'))] for number in range(3)]
workers.run_on_gpus(chains, (0, 1), Path('.'), lambda gpu, stop: partial(
    running.run_logged, root=Path('.'), gpu=gpu, stop=stop), print)
'''


def test_ctrl_c_ends_all_commands(tmp_path, repo):
    process = subprocess.Popen([sys.executable, '-c', SCRIPT], cwd=tmp_path, start_new_session=True,
                               stderr=subprocess.PIPE, text=True,
                               env={**os.environ, 'PYTHONPATH': f'{repo}:{repo}/tools'})
    files = [tmp_path / f'chain{number}' for number in range(2)]
    try:
        deadline = time.time() + 120
        while not all(path.is_file() and path.read_text() for path in files):
            assert time.time() < deadline and process.poll() is None
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)       # to the tool alone, as kill -INT does
        assert 'KeyboardInterrupt' in process.communicate(timeout=60)[1]
    finally:
        process.kill()
    for path in files:
        with pytest.raises(ProcessLookupError):
            os.kill(int(path.read_text()), 0)
    assert not (tmp_path / 'chain2').exists(), 'no chain starts after it'


@pytest.mark.parametrize('gpus', [(0, 0), (-1,)])
def test_wrong_numbers_are_said(gpus):
    with pytest.raises(ValueError, match=r'--gpus .*expected different numbers from 0 on'):
        check_gpus(gpus)
