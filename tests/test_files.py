"""Files are whole or not there, whoever else writes them; a folder belongs to one run."""
from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from matplotlib.figure import Figure
from references.full_disk import full_disk

from mmdense import files
from mmdense.evaluation.feature_cache import write_cached
from mmdense.files import LOCK, locked, remove_partials, whole_file, write_whole
from mmdense.visualization.figures import save


@pytest.mark.situation('lost runs', 'many processes write one file at once', 'works',
                       'each writes a hidden file of its own; the last one stays, whole')
def test_writers_of_one_file_do_not_meet(tmp_path):
    failures, sizes = [], (10, 5_000, 200_000)

    def write(size: int) -> None:
        try:
            for _ in range(20):
                write_whole(b'x' * size, tmp_path / 'file')
        except OSError as error:
            failures.append(error)

    writers = [threading.Thread(target=write, args=(size,)) for size in sizes]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        if (tmp_path / 'file').exists():
            assert len((tmp_path / 'file').read_bytes()) in sizes
    assert not failures and [path.name for path in tmp_path.iterdir()] == ['file']


@pytest.mark.parametrize('write', [
    pytest.param(lambda path: write_whole(b'new' * 10_000, path), id='bytes',
                 marks=pytest.mark.situation(
                     'lost runs', 'the disk is full while a checkpoint, table or region file is '
                     'written', 'error', 'the file before it stays, nothing of the new one is '
                     'left; path, bytes needed and bytes free are named')),
    pytest.param(lambda path: write_cached(dict(maps=[torch.zeros(99_999)]), path), id='tensors',
                 marks=pytest.mark.situation(
                     'lost runs', 'the disk is full while feature maps are kept', 'error',
                     'nothing of the file is left; path and space are named')),
    pytest.param(lambda path: save(Figure(), path), id='figure', marks=pytest.mark.situation(
        'lost runs', 'the disk is full while a figure is drawn', 'error',
        'nothing of the file is left; path and space are named'))])
def test_a_full_disk_loses_nothing_and_keeps_nothing(write, tmp_path):
    path = tmp_path / 'file.pth'
    path.write_bytes(b'old')
    with full_disk(), pytest.raises(OSError, match=(
            r'file\.pth could not be written: File too large: it needs (more than )?[\d,]+ bytes, '
            r'[\d,]+ are free there')) as error:
        write(path)
    assert error.traceback[-1].path.name in ('files.py', 'feature_cache.py')
    assert path.read_bytes() == b'old' and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize('reason', [KeyboardInterrupt(), RuntimeError('own'), SystemExit()])
def test_whatever_ends_a_writer_nothing_of_the_file_is_left(reason, tmp_path):
    with pytest.raises(type(reason)), whole_file(tmp_path / 'a' / 'file') as file:
        file.write(b'half')
        raise reason
    assert not list((tmp_path / 'a').iterdir())


def test_a_place_that_cannot_be_written_to(tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(OSError, match=r'file/b could not be written: .*/file is a file, expected'):
        write_whole(b'', tmp_path / 'file' / 'b')
    (tmp_path / 'folder').mkdir()
    with pytest.raises(OSError, match='folder could not be written: Is a directory'):
        write_whole(b'', tmp_path / 'folder')
    assert sorted(path.name for path in tmp_path.iterdir()) == ['file', 'folder']


def test_a_name_as_long_as_a_disk_takes(tmp_path):
    write_whole(b'1', tmp_path / ('ö' * 120))
    assert next(tmp_path.iterdir()).read_bytes() == b'1'


def test_what_killed_writers_left_is_removed(tmp_path):
    for name in ('.a.pth.1-ab.partial', 'keep.partial', 'b/.c.2-cd.partial'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    remove_partials(tmp_path)
    assert sorted(p.name for p in tmp_path.rglob('*.partial')) == ['.c.2-cd.partial',
                                                                   'keep.partial']
    remove_partials(tmp_path, below=True)
    assert [p.name for p in tmp_path.rglob('*.partial')] == ['keep.partial']


def test_a_folder_belongs_to_one_run_and_to_what_it_left_behind(tmp_path):
    path = tmp_path / 'work' / LOCK
    with locked(path) as lock:
        with pytest.raises(ValueError, match=(rf'{path.parent} is in use by another run '
                                              rf'\(process {os.getpid()} on .+ since 20.+\)')):
            with locked(path):
                pass
        left = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE,
                                pass_fds=[lock])
    try:
        with pytest.raises(ValueError, match='that a killed run left behind'):
            with locked(path):
                pass
    finally:
        left.communicate(b'\n', timeout=10)
    with locked(path):
        pass


def test_a_lock_of_a_killed_process_is_free_even_while_its_workers_live(tmp_path):
    """A data loader's worker outlives its trainer for seconds."""
    ready, parent_says = os.pipe()
    child = os.fork()
    if child == 0:
        with locked(tmp_path / LOCK):
            worker = os.fork()
            if worker == 0:
                signal.pause()
                os._exit(0)
            os.write(parent_says, worker.to_bytes(4, 'big'))
            signal.pause()
        os._exit(1)
    worker = int.from_bytes(os.read(ready, 4), 'big')
    try:
        with pytest.raises(ValueError, match=f'process {child} on'), locked(tmp_path / LOCK):
            pass
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.kill(worker, 0)
        with locked(tmp_path / LOCK):
            pass
    finally:
        os.kill(worker, signal.SIGKILL)
        os.close(ready)
        os.close(parent_says)


def test_a_second_writer_waits_where_it_may(tmp_path):
    order = []

    def second() -> None:
        with locked(tmp_path / LOCK, wait=True):
            order.append('second')

    with locked(tmp_path / LOCK):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.1)
        order.append('first')
    thread.join(10)
    assert order == ['first', 'second'] and not files.HELD


@pytest.mark.situation('lost runs', 'the work_dir is on a disk without locks', 'warning',
                       'the run goes on; the log says that nobody looks whether another runs there')
def test_a_disk_without_locks(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(files, 'print_log', lambda text, *args, **kwargs: said.append(text))

    def no_locks(*args):
        raise OSError(errno.ENOLCK, 'No locks available')
    monkeypatch.setattr(fcntl, 'flock', no_locks)
    with locked(tmp_path / LOCK):
        pass
    assert 'this disk has no locks' in said[0]


def test_the_note_of_a_dead_holder_is_replaced(tmp_path):
    Path(tmp_path / LOCK).write_text('process 1 on elsewhere since long ago, and some more text\n')
    with locked(tmp_path / LOCK):
        assert (tmp_path / LOCK).read_text().startswith(f'process {os.getpid()} on ')
