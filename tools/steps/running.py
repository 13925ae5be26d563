"""Run what a table still needs, one step after the other, in a folder that nobody else uses."""
from __future__ import annotations

import json
import os
import platform
import shlex
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib import metadata
from pathlib import Path

import mmengine
import mmseg
import torch

import mmdense
from mmdense.files import write_whole
from mmdense.mistakes import Mistake

from .step import RESULT, Step

#: lines of a command's output that are shown where it failed
LAST_LINES = 15
ATTEMPTS = 'attempts.json'
#: seconds within which a command that is to be stopped is told
PATIENCE = 0.2
#: networks are built one at a time: they draw from the process's one random state
BUILDING = threading.Lock()


class StepFailed(Mistake, RuntimeError):
    """A command that ended with an error; the message has the last lines of its log."""


@lru_cache
def provenance(root: Path) -> dict[str, str | None]:
    """Return versions, and the git commit of ``root`` (``+changes`` if it has any)."""
    found = dict(mmdense=mmdense.__version__, torch=torch.__version__,
                 mmengine=mmengine.__version__, mmseg=mmseg.__version__,
                 numpy=metadata.version('numpy'), python=platform.python_version(), commit=None)

    def git(*words: str) -> str:
        return subprocess.run(['git', '-C', str(root), *words], capture_output=True, text=True,
                              check=True).stdout.strip()

    try:
        # an installed copy may lie in somebody else's repository
        if Path(git('rev-parse', '--show-toplevel')).resolve() == root.resolve():
            changes = '+changes' if git('status', '--porcelain') else ''
            found['commit'] = git('rev-parse', 'HEAD') + changes
    except (OSError, subprocess.CalledProcessError):
        pass
    return found


class Stopped(Exception):
    """A command that was ended because the whole run ends."""


def _wait(process: subprocess.Popen, stop: threading.Event | None) -> int:
    if stop is None:
        return process.wait()
    while True:
        try:
            return process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            if stop.is_set():
                raise Stopped from None


def run_logged(command: Sequence[str], log: Path, root: Path, keep: Sequence[int] = (),
               gpu: int | None = None, stop: threading.Event | None = None) -> None:
    """Run a command with its output in ``log``.

    Args:
        root: folder of the package, where python finds it, installed or not.
        keep: file descriptors that the command inherits.
        gpu: the only one that it sees; None = as this process.
        stop: ends the command when it is set.

    Raises:
        StepFailed: it could not be started, or ended with another code than 0.
        Stopped: ``stop`` was set.
    """
    if stop is not None and stop.is_set():
        raise Stopped
    parts = [str(root), os.environ.get('PYTHONPATH', '')]
    environment = {**os.environ, 'PYTHONPATH': os.pathsep.join(filter(None, parts)),
                   'PATH': f'{Path(sys.executable).parent}{os.pathsep}{os.environ["PATH"]}'}
    if gpu is not None:
        environment['CUDA_VISIBLE_DEVICES'] = str(gpu)
    with log.open('w') as file:
        try:
            process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL,
                                       stdout=file, stderr=subprocess.STDOUT, pass_fds=keep)
        except OSError as error:
            raise StepFailed(f'{command[0]} could not be started: {error}') from None
        try:
            code = _wait(process, stop)
        except BaseException:
            # interrupted: a training ends its own processes, and goes on later
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            raise
    if code and stop is not None and stop.is_set():
        raise Stopped      # Ctrl-C reaches the commands as well
    if code:
        with log.open(errors='replace') as file:
            last = ''.join(deque(file, LAST_LINES)).rstrip()
        raise StepFailed(f'ended with {code}; the end of {log}:\n{last}')


def _attempt(folder: Path) -> tuple[Path, list[float]]:
    """Note that a step starts; return its log, and all starts so far."""
    path = folder / ATTEMPTS
    try:
        starts = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        starts = []
    starts.append(time.time())
    write_whole(json.dumps(starts).encode(), path)
    return folder / f'log_{len(starts)}.txt', starts


def _seconds(folder: Path, starts: Sequence[float]) -> float:
    """Return the time of all attempts; one that was killed ended with its log's last line."""
    total = time.time() - starts[-1]
    for number, start in enumerate(starts[:-1], 1):
        log = folder / f'log_{number}.txt'
        if log.is_file():
            total += max(log.stat().st_mtime - start, 0.)
    return round(total, 1)


def run_step(step: Step, root: Path, run: Callable[[list[str], Path], None],
             say: Callable[[str], None]) -> None:
    """Run one step and write its result file, whole.

    Args:
        root: folder of the package, for the commit.
        run: runs a command with its log.
        say: prints a command before it runs.

    Raises:
        StepFailed: the command failed, or left no result.
    """
    step.folder.mkdir(parents=True, exist_ok=True)
    log, starts = _attempt(step.folder)
    words = None
    try:
        if step.command:
            words = step.command()
            say(f'$ {shlex.join(words)}')
            run(words, log)
        else:
            say(f'writing random weights into {step.folder}')
            with BUILDING:
                step.make()
        found = step.read()
    except (ValueError, KeyError, OSError) as error:
        raise StepFailed(f'{type(error).__name__}: {error}') from error
    result = dict(fingerprint=step.fingerprint, row=step.row, seed=step.seed, step=step.name,
                  **step.facts, command=words, seconds=_seconds(step.folder, starts),
                  attempts=len(starts), versions=provenance(root), **found)
    write_whole(json.dumps(result, indent=1).encode(), step.folder / RESULT)


def missing(steps: Sequence[Step]) -> list[Step]:
    """Return the steps of one chain that are still to be run.

    A checkpoint that was deleted is made again if a step that is missing starts from it.
    """
    wanted: list[Step] = []
    for step in reversed(steps):
        needed = any(later.start is step for later in wanted)
        if step.result() is None or needed and step.checkpoint() is None:
            wanted.append(step)
    return wanted[::-1]


def run_chains(chains: Sequence[Sequence[Step]], root: Path,
               run: Callable[[list[str], Path], None], say: Callable[[str], None],
               done: Callable[[int], None] = lambda steps: None) -> list[str]:
    """Run what chains of steps still need; return what failed, one text each.

    A chain ends with its first failure; the next ones go on.

    Args:
        chains: the steps of a row and a seed each.
        root: folder of the package.
        run: runs a command with its log.
        say: prints a line.
        done: is called with the number of steps that are not to be waited for any more.
    """
    failures = []
    for steps in chains:
        for step in steps:
            for folder in step.others():
                say(f'{step.title}: the result in {folder} was made with another budget, other '
                    'options or another config, and is not used')
        left = missing(steps)
        for number, step in enumerate(left):
            try:
                run_step(step, root, run, say)
            except StepFailed as error:
                text = f'{step.title}: {error}'
                if left[number + 1:]:
                    text += f'\nnot run after it: {", ".join(s.name for s in left[number + 1:])}'
                say(f'FAILED {text}')
                failures.append(text)
                done(len(left) - number)
                break
            done(1)
    return failures
