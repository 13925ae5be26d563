"""Run functions in several gloo processes on this machine, which are started once."""
from __future__ import annotations

import atexit
import functools
import pickle
import tempfile
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from mmengine.registry import DefaultScope

from mmdense.engine.launch import leave_group

#: seconds that a job may take
PATIENCE = 300


def work(rank: int, world: int, rendezvous: str, jobs: Connection) -> None:
    """Run the jobs that come until None does, each from the same random state and no scope."""
    dist.init_process_group('gloo', init_method=f'file://{rendezvous}', rank=rank,
                            world_size=world)
    torch.set_num_threads(1)
    while (job := jobs.recv()) is not None:
        torch.manual_seed(0)
        DefaultScope._instance_dict.clear()
        try:
            answer = job(rank, world), None
        except BaseException:
            answer = None, traceback.format_exc()
        # as bytes: shared memory would end with this process
        jobs.send_bytes(pickle.dumps(answer))
    leave_group()                       # not at the interpreter's end, where gloo may abort


class Team:
    """Processes of one group, which wait for jobs."""

    def __init__(self, world: int) -> None:
        context = mp.get_context('spawn')
        rendezvous = Path(tempfile.mkdtemp()) / 'rendezvous'
        self.pipes, ends = zip(*(context.Pipe() for _ in range(world)), strict=True)
        self.processes = [context.Process(target=work, args=(rank, world, str(rendezvous), end),
                                          daemon=True) for rank, end in enumerate(ends)]
        for process in self.processes:
            process.start()
        for end in ends:                # a process that dies is then the end of its pipe
            end.close()

    def run(self, job: Callable[[int, int], Any]) -> list[Any]:
        """Return what ``job(rank, world)`` gives in each process.

        Raises:
            RuntimeError: it failed in one of them; the team is of no use then.
        """
        for pipe in self.pipes:
            pipe.send(job)
        answers = []
        for rank, pipe in enumerate(self.pipes):
            try:
                known = pipe.poll(PATIENCE)
                value, error = pickle.loads(pipe.recv_bytes()) if known else (None, 'no answer')
            except EOFError:
                value, error = None, 'the process ended'
            if error is not None:
                raise RuntimeError(f'process {rank}: {error}')
            answers.append(value)
        return answers

    def end(self) -> None:
        """Let the processes end, or make them."""
        for pipe in self.pipes:
            try:
                pipe.send(None)
            except OSError:             # it has ended
                pass
        for process in self.processes:
            process.join(10)
            process.kill()


@functools.cache
def team_of(world: int) -> Team:
    team = Team(world)
    atexit.register(team.end)
    return team


def run_processes(job: Callable[[int, int], Any], world: int = 2) -> list[Any]:
    """Return what a picklable ``job(rank, world)`` gives in each of ``world`` processes."""
    try:
        return team_of(world).run(job)
    except RuntimeError:
        # the other processes may wait for the one that failed
        for process in team_of(world).processes:
            process.kill()
        team_of.cache_clear()
        raise
