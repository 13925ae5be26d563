"""Chains of steps on several GPUs at once: one chain per GPU."""
from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from mmdense.mistakes import WrongValue
from steps.running import Stopped, run_chains
from steps.step import Step

#: runs a command with its log
Run = Callable[[list[str], Path], None]


def check_gpus(gpus: Sequence[int]) -> tuple[int, ...]:
    """Return numbers of GPUs as a tuple.

    Raises:
        ValueError: a number below 0, or one twice.
    """
    if min(gpus) < 0 or len(set(gpus)) < len(gpus):
        raise WrongValue(f'--gpus {" ".join(map(str, gpus))}: expected different numbers from 0 on')
    return tuple(gpus)


def run_on_gpus(chains: Sequence[Sequence[Step]], gpus: Sequence[int], root: Path,
                run_on: Callable[[int, threading.Event], Run], say: Callable[[str], None],
                done: Callable[[int], None] = lambda steps: None) -> list[str]:
    """Run what chains still need, as ``run_chains``, with a worker for each GPU.

    A worker takes the next chain when it is through with one. A failure ends its own chain alone.
    Whatever interrupts the caller ends all commands before it goes on.

    Args:
        chains: the steps of a row and a seed each; one that is there twice is run once.
        gpus: their numbers.
        root: folder of the package.
        run_on: gives what runs a command on a GPU until the event is set.
        say: prints a line; is called by all workers.
        done: as of ``run_chains``; is called by all workers.

    Returns:
        what failed, in the order of the chains.
    """
    # chains of one row and seed have the same first folder
    waiting = deque(enumerate({steps[0].folder: steps for steps in chains if steps}.values()))
    failures: dict[int, list[str]] = {}
    stop, broken = threading.Event(), []

    def work(gpu: int) -> None:
        run = run_on(gpu, stop)
        while not stop.is_set():
            try:
                number, steps = waiting.popleft()
            except IndexError:
                return
            try:
                failures[number] = run_chains([steps], root, run,
                                              lambda line: say(f'[GPU {gpu}] {line}'), done)
            except Stopped:
                return
            except BaseException as error:       # raised again where the caller can see it
                stop.set()
                broken.append(error)

    threads = [threading.Thread(target=work, args=(gpu,)) for gpu in gpus]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    if broken:
        raise broken[0]
    return [text for number in sorted(failures) for text in failures[number]]
