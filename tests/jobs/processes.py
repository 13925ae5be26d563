"""Run a function in several gloo processes on this machine."""
from __future__ import annotations

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from mmdense.engine.launch import leave_group


def gloo(rank, world, rendezvous, job, results):
    dist.init_process_group('gloo', init_method=f'file://{rendezvous}', rank=rank,
                            world_size=world)
    torch.set_num_threads(1)
    results[rank] = job(rank, world)
    leave_group()                       # not at the interpreter's end, where gloo may abort


def run_processes(job, tmp_path, world=2):
    results = mp.Manager().dict()
    mp.spawn(gloo, (world, str(tmp_path / 'rendezvous'), job, results), nprocs=world)
    return [results[rank] for rank in range(world)]
