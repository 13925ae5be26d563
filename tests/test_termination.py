"""SIGTERM, a stopped process, a parent that dies: one line, and no process is left."""
from __future__ import annotations

import multiprocessing
import os
import select
import signal
import subprocess
import time
from types import SimpleNamespace

import pytest
import torch
import torch.distributed as dist
from torch.utils.data import DataLoader, Dataset

from mmdense import termination
from mmdense.engine.checkpoint_hook import CheckpointHook
from mmdense.errors import run_command, user_message
from mmdense.termination import TERMINATION, terminable


def run(command) -> int:
    """Return the exit code of a command; the tests stay interruptible."""
    before = signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises(SystemExit) as ended:
            run_command(command)
    finally:
        signal.signal(signal.SIGINT, before)
    return ended.value.code


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.01)        # the handler comes first


def interrupt() -> None:
    raise KeyboardInterrupt


def wrapped(end):
    def command() -> None:
        try:
            end()
        except:  # noqa: E722
            raise SyntaxError('Failed to format the config file: 300 lines')  # noqa: B904
    return command


@pytest.mark.parametrize('command, code, said', [
    pytest.param(terminate, 143, 'ended by SIGTERM\n', id='sigterm', marks=pytest.mark.situation(
        'lost runs', 'SIGTERM while a command starts or evaluates', 'works', 'one line, and exit '
        'code 143')),
    pytest.param(wrapped(interrupt), 130, 'interrupted\n', id='formatting',
                 marks=pytest.mark.situation(
                     'commands', 'Ctrl-C while a config is formatted', 'works', 'one line, '
                     '"interrupted", and exit code 130')),
    (wrapped(terminate), 143, 'ended by SIGTERM\n')])
def test_an_end_from_outside_is_one_line(capsys, command, code, said):
    before = signal.getsignal(signal.SIGTERM)
    assert run(command) == code
    assert capsys.readouterr().err == said
    assert signal.getsignal(signal.SIGTERM) is before


def test_only_the_first_process_speaks(capsys, monkeypatch):
    monkeypatch.setattr(termination, 'PATIENCE', 3600)
    monkeypatch.setenv('RANK', '1')
    assert run(terminate) == 143
    assert capsys.readouterr().err == ''


class Training:
    """A training of one weight whose hook saves every 100 iterations; SIGTERM comes at ``at``."""

    def __init__(self, folder, at: int, counts: int = 1, by_epoch: bool = False) -> None:
        self.hook = CheckpointHook(by_epoch=by_epoch, interval=100)
        self.hook.last_ckpt, self.hook.out_dir = None, str(folder)
        self.hook.file_backend = SimpleNamespace(join_path=os.path.join)
        self.hook._save_checkpoint = lambda runner: self.saved.append(runner.iter + 1)
        self.runner = SimpleNamespace(
            iter=0, epoch=0, max_iters=1000, work_dir=str(folder),
            optim_wrapper=SimpleNamespace(_accumulative_counts=counts))
        self.saved, self.done, self.at = [], 0, at

    def __call__(self) -> None:
        for step in range(1, 10):
            self.runner.iter = step - 1
            self.hook.before_train_iter(self.runner, step - 1)
            if step == self.at:
                terminate()
            self.done = step
            self.hook.after_train_iter(self.runner, step - 1)


@pytest.mark.parametrize('at, counts, expected', [
    pytest.param(3, 1, 3, id='an-iteration', marks=pytest.mark.situation(
        'lost runs', 'SIGTERM in a training (Slurm takes the node back)', 'works', 'ends the '
        'iteration, saves a checkpoint, says so; exit code 143')),
    pytest.param(5, 4, 8, id='accumulated', marks=pytest.mark.situation(
        'lost runs', 'SIGTERM in the middle of an accumulated gradient', 'works', 'ends the '
        "optimiser's step, then saves"))])
def test_a_training_ends_its_step_and_saves(tmp_path, capsys, at, counts, expected):
    training = Training(tmp_path, at, counts)
    assert run(training) == 143
    assert training.done == expected and training.saved == [expected]
    assert capsys.readouterr().err == (
        f'ended by SIGTERM at iteration {expected}: {tmp_path}/iter_{expected}.pth is saved, '
        '--resume goes on from it\n')


def test_a_training_that_counts_epochs_ends_at_once(tmp_path, capsys):
    training = Training(tmp_path, at=3, by_epoch=True)
    assert run(training) == 143
    assert training.done == 2 and training.saved == []


def test_the_other_processes_leave_it_to_the_first(tmp_path, monkeypatch, capsys):
    """They go on, meet that it has left, and end without a word."""
    monkeypatch.setattr(termination, 'PATIENCE', 3600)
    monkeypatch.setattr('mmdense.engine.checkpoint_hook.is_main_process', lambda: False)
    monkeypatch.setenv('RANK', '1')
    training = Training(tmp_path, at=3)

    def command() -> None:
        training()
        raise RuntimeError('[gloo] Connection closed by peer')
    assert run(command) == 143
    assert training.done == 9 and training.saved == [] and capsys.readouterr().err == ''


def test_an_evaluation_in_a_training_ends_at_once(tmp_path, capsys):
    training = Training(tmp_path, at=100)

    def command() -> None:
        training()
        assert TERMINATION.deferred
        training.hook.before_val(training.runner)
        terminate()
    assert run(command) == 143
    assert capsys.readouterr().err == 'ended by SIGTERM\n'


def meet(rank: int, rendezvous: str, said) -> None:
    """Reduce with a process that has stopped; tell what a user is told."""
    import datetime
    dist.init_process_group('gloo', init_method=f'file://{rendezvous}', rank=rank, world_size=2,
                            timeout=datetime.timedelta(seconds=2))
    dist.barrier()
    if rank == 1:
        os.kill(os.getpid(), signal.SIGSTOP)
    try:
        dist.all_reduce(torch.ones(1))
    except RuntimeError as error:
        said.send(user_message(error))
    os._exit(0)


@pytest.mark.situation('lost runs', 'one process of a run is stopped, not dead', 'error', 'the '
                       'others end after env_cfg.dist_cfg.timeout (10 minutes), with one line')
def test_a_stopped_process_is_noticed(tmp_path):
    context = multiprocessing.get_context('fork')
    heard, said = context.Pipe(duplex=False)
    processes = [context.Process(target=meet, args=(rank, f'{tmp_path}/rendezvous', said))
                 for rank in range(2)]
    for process in processes:
        process.start()
    try:
        assert heard.poll(60)
        assert heard.recv() == (
            'another process of this run did not answer for 2 s: it is stopped, stuck or dead '
            '(how long is waited: env_cfg.dist_cfg.timeout, in seconds); go on with --resume')
    finally:
        for process in processes:
            process.kill()
            process.join()


class Large(Dataset):
    """Samples that fill the pipe to the trainer."""

    def __len__(self) -> int:
        return 1000

    def __getitem__(self, index: int) -> bytes:
        return bytes(2 ** 20)


@pytest.mark.situation('lost runs', 'a training is killed (SIGKILL) while its workers hand over '
                       'batches', 'works', 'the workers end with it')
def test_workers_end_with_their_trainer():
    """They all hold the pipe open on which they would wait for the dead reader."""
    alive, end = os.pipe()      # closed when the last process has ended
    trainer = os.fork()
    if trainer == 0:
        os.close(alive)
        with terminable():
            loader = iter(DataLoader(Large(), num_workers=2, collate_fn=list))
            next(loader)
            os.write(end, b'x')
            signal.pause()
    os.close(end)
    assert os.read(alive, 1) == b'x'
    os.kill(trainer, signal.SIGKILL)
    os.waitpid(trainer, 0)
    ended = select.select([alive], [], [], 4)[0]
    os.close(alive)
    assert ended


@pytest.mark.situation('lost runs', 'SIGTERM reaches the workers of a training, too', 'works',
                       'they go on until it has saved; their trainer can end them')
def test_only_their_trainer_ends_workers():
    with terminable():
        loader = iter(DataLoader(Large(), num_workers=2, collate_fn=list))
        workers = loader._workers
        next(loader)
        for worker in workers:        # not by this process
            subprocess.run(['kill', '-TERM', str(worker.pid)], check=True)
        for _ in range(6):
            next(loader)
        assert all(worker.is_alive() for worker in workers)
        workers[0].terminate()
        workers[0].join(10)
        assert workers[0].exitcode == 0
