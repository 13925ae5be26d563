"""A process whose launcher was killed does not train on."""
from __future__ import annotations

import os
import signal
import sys
import threading

import pytest

from mmdense.engine import launcher_watch
from mmdense.engine.launcher_watch import end_process, end_with_launcher, watch


@pytest.mark.situation('lost runs', 'the launcher of a run of several processes is killed', 'error',
                       'its processes end within seconds, with one line')
def test_a_process_ends_after_its_parent(monkeypatch):
    """A launcher that dies: its child is given to another parent, and says so."""
    monkeypatch.setattr(launcher_watch, 'INTERVAL', 0.05)
    said, say = os.pipe()
    launcher = os.fork()
    if launcher == 0:
        parent = os.getpid()
        if os.fork() == 0:
            sys.stderr = open(say, 'w')
            # not what another test of this process left: the child would go on as pytest
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.write(say, b'ready ')
            threading.Thread(target=watch, args=(parent,), daemon=True).start()
            signal.pause()
            os._exit(0)
        signal.pause()
    os.close(say)
    with open(said, 'rb') as stream:
        assert stream.read(6) == b'ready '
        os.kill(launcher, signal.SIGKILL)
        os.waitpid(launcher, 0)
        assert b'the launcher of this process was killed' in stream.read()  # until the child ends


def test_a_process_that_does_not_listen_is_ended(monkeypatch):
    monkeypatch.setattr(launcher_watch, 'PATIENCE', 0.1)
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        sys.stderr = open(os.devnull, 'w')
        end_process()
    status = os.waitpid(child, 0)[1]
    assert os.WIFEXITED(status) and os.WEXITSTATUS(status) == 1


def test_only_torchrun_is_watched(monkeypatch):
    watched = []
    monkeypatch.setattr(launcher_watch, 'watch', watched.append)
    monkeypatch.delenv('TORCHELASTIC_RUN_ID', raising=False)
    end_with_launcher('pytorch')
    monkeypatch.setenv('TORCHELASTIC_RUN_ID', 'x')
    end_with_launcher('slurm')
    assert watched == []
    end_with_launcher('pytorch')
    assert watched == [os.getppid()]
