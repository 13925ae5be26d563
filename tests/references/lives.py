"""Trains with tools/train.py in several lives: each ends with SIGKILL, the next one resumes.

python -m references.lives '[{"seed": 1, "interval": 4, "arguments": ["CONFIG", …]}]'

A life is a forked process; it dies at a random event: at an iteration, or before or after a file
is flushed, renamed or removed, which is every moment at which what lies on the disk can differ.
Prints each run's number of lives. Fails if a kill cost more than an interval, or left a
`last_checkpoint` that names a file which cannot be read.
"""
from __future__ import annotations

import json
import os
import random
import runpy
import signal
import sys
import traceback
from pathlib import Path

import mmengine.runner
import torch
from mmengine.config import Config
from mmengine.hooks import Hook

import mmdense  # noqa: F401
from references.toy import ROOT


class Mortal:
    """Counts events and dies at the ``age``-th; writes down the iterations that were done."""

    def __init__(self, age: int, log: Path) -> None:
        self.age, self.log = age, log

    def live(self) -> None:
        self.age -= 1
        if self.age == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, owner: object, name: str) -> None:
        """Make an event of the moment before and of the moment after ``owner.name``."""
        function = getattr(owner, name)

        def mortal(*args, **kwargs):
            if os.getpid() != self.process:
                return function(*args, **kwargs)
            self.live()
            result = function(*args, **kwargs)
            self.live()
            return result
        setattr(owner, name, mortal)

    def begin(self) -> None:
        self.process = os.getpid()
        for owner, name in ((os, 'fsync'), (os, 'replace'), (os, 'remove'), (Path, 'unlink')):
            self.around(owner, name)
        mortal, log = self, self.log

        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            log.write_text(str(runner.iter + 1))
            mortal.live()
        hook = type('MortalHook', (Hook,), dict(after_train_iter=after_train_iter))()
        call_hook = mmengine.runner.Runner.register_hooks

        def register_hooks(runner, *args, **kwargs):
            call_hook(runner, *args, **kwargs)
            runner.register_hook(hook, priority='VERY_LOW')
        mmengine.runner.Runner.register_hooks = register_hooks


def live_once(age: int, log: Path, arguments: list[str]) -> int:
    """Train in a forked process until it ends or dies; return its wait status."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            Mortal(age, log).begin()
            sys.argv = ['train.py', *arguments]
            runpy.run_path(str(ROOT / 'tools' / 'train.py'), run_name='__main__')
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(code)
    return os.waitpid(child, 0)[1]


def live_on(seed: int | None, interval: int, arguments: list[str]) -> int:
    """Train to the end, dying at random moments unless ``seed`` is None; return the lives."""
    work_dir = Path(arguments[arguments.index('--work-dir') + 1])
    log = work_dir.with_suffix('.log')
    log.write_text('0')
    dice, lives = random.Random(seed), 0
    while True:
        lives += 1
        status = live_once(-1 if seed is None else dice.randint(3, 22), log, arguments)
        if status == 0:
            return lives
        assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, status
        pointer, saved = work_dir / 'last_checkpoint', 0
        if pointer.is_file():
            saved = torch.load(pointer.read_text(), weights_only=False)['meta']['iter']
        done = int(log.read_text())
        assert done - saved <= interval, f'{done} iterations were done and {saved} are kept'
        assert lives < 60, 'no progress'


if __name__ == '__main__':
    Config.pretty_text = property(lambda cfg: '')  # formatted for the log at every save: slow
    print(json.dumps([live_on(**job) for job in json.loads(sys.argv[1])]))
