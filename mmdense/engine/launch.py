"""Several processes, with GPUs or without, from the config and launcher of the GPU run."""
from __future__ import annotations

import atexit
import gc
import os
import subprocess
from datetime import timedelta

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import get_rank, get_world_size, is_distributed
from mmengine.logging import print_log

from mmdense.mistakes import WrongValue

#: seconds that a process waits for another one before it takes it for stopped or dead, where the
#: config does not say (NCCL's own default; gloo's is half an hour)
TIMEOUT = 600
#: wrappers of mmengine that ours replace
DDP = (None, 'MMDistributedDataParallel', 'mmengine.MMDistributedDataParallel')
#: launcher -> environment variables of the number of processes, of this one's number and of what
#: else it tells each process, and what to type instead of the tool by itself
LAUNCHERS = {
    'pytorch': ('WORLD_SIZE', 'RANK', ('LOCAL_RANK', 'MASTER_ADDR', 'MASTER_PORT'),
                'tools/dist_train.sh CONFIG PROCESSES, or tools/dist_test.sh CONFIG CHECKPOINT '
                'PROCESSES'),
    'slurm': ('SLURM_NTASKS', 'SLURM_PROCID', ('SLURM_NODELIST',),
              'tools/slurm_train.sh PARTITION JOB_NAME CONFIG'),
    'mpi': ('OMPI_COMM_WORLD_SIZE', 'OMPI_COMM_WORLD_RANK',
            ('OMPI_COMM_WORLD_LOCAL_RANK', 'MASTER_ADDR'),
            'mpirun -np PROCESSES -x MASTER_ADDR=ADDRESS python TOOL CONFIG --launcher mpi'),
}


def count_processes(launcher: str | None) -> int:
    """Number of processes of a run, also before its process group exists."""
    if is_distributed() or launcher not in LAUNCHERS:
        return get_world_size()
    return int(os.environ.get(LAUNCHERS[launcher][0], 1))


def own_number(launcher: str | None) -> int:
    """Number of this process in its run, also before the process group exists."""
    if is_distributed() or launcher not in LAUNCHERS:
        return get_rank()
    return int(os.environ.get(LAUNCHERS[launcher][1], 0))


def say(text: str, launcher: str | None = None) -> None:
    """Log a line of the first process, also before the process group of ``launcher`` exists."""
    if own_number(launcher) == 0:
        print_log(text, 'current')


def leave_group() -> None:
    """Leave the process group, if there is one, and end gloo's threads.

    A thread that still holds a tensor when the interpreter ends makes it abort, after a run that
    went well. The group's threads end with the last model that refers to it.
    """
    gc.collect()
    if is_distributed():
        torch.distributed.destroy_process_group()


def check_launcher(launcher: str) -> None:
    """Look for what a launcher leaves in the environment of the processes that it starts.

    Raises:
        ValueError: a variable is missing: the tool was not started by this launcher.
    """
    if launcher not in LAUNCHERS or is_distributed():
        return
    count, rank, others, command = LAUNCHERS[launcher]
    missing = [name for name in (rank, count, *others) if name not in os.environ]
    if missing:
        raise WrongValue(f'--launcher {launcher}: {", ".join(missing)} '
                         f'{"is" if len(missing) == 1 else "are"} not set in the environment, so '
                         f'it did not start this process; type {command}, or leave --launcher '
                         'out for one process')


def join_gloo(launcher: str, timeout: float, port: int | None = None) -> None:
    """Join the gloo group of a launcher's processes; the environment gets what torch reads.

    mmengine's ``init_dist`` reads the same variables, but selects a GPU on the way.

    Args:
        timeout: seconds that a process waits for another one.
        port: of the first process, for slurm; ``MASTER_PORT`` or 29500 if None.
    """
    count, rank, *_ = LAUNCHERS[launcher]
    os.environ['WORLD_SIZE'], os.environ['RANK'] = os.environ[count], os.environ[rank]
    if launcher == 'slurm':
        os.environ.setdefault('LOCAL_RANK', os.environ.get('SLURM_LOCALID', '0'))
        if port is not None:
            os.environ['MASTER_PORT'] = str(port)
        if 'MASTER_ADDR' not in os.environ:
            names = subprocess.check_output(
                ['scontrol', 'show', 'hostname', os.environ['SLURM_NODELIST']], text=True)
            os.environ['MASTER_ADDR'] = names.split()[0]
    os.environ.setdefault('MASTER_PORT', '29500')
    if torch.multiprocessing.get_start_method(allow_none=True) is None:
        torch.multiprocessing.set_start_method('spawn')
    torch.distributed.init_process_group('gloo', timeout=timedelta(seconds=timeout))


def start_processes(cfg: Config) -> None:
    """Join the process group where there is no GPU, and fit the config's model wrapper.

    Without a launcher nothing happens. A process waits for another one for
    ``env_cfg.dist_cfg.timeout`` seconds, :data:`TIMEOUT` if the config has none. Without GPUs a
    gloo group is made (the runner keeps a group that is there). mmengine's model wrapper becomes
    :class:`mmdense.DistributedDataParallel`, which finds parameters that the loss does not reach,
    or its sister for CPU processes; another wrapper in the config is kept.
    """
    if cfg.launcher == 'none':
        return
    env = cfg.get('env_cfg') or {}
    cfg.env_cfg = {**env, 'dist_cfg': {'timeout': TIMEOUT, **(env.get('dist_cfg') or {})}}
    cpu = get_device() == 'cpu'
    if cpu and not is_distributed():
        options = cfg.env_cfg['dist_cfg']
        join_gloo(cfg.launcher, options['timeout'], options.get('port'))
        atexit.register(leave_group)
    wrapper = dict(cfg.get('model_wrapper_cfg') or dict(
        broadcast_buffers=False, find_unused_parameters=cfg.get('find_unused_parameters', False)))
    if wrapper.get('type') in DDP:
        kind = 'CPUDistributedDataParallel' if cpu else 'DistributedDataParallel'
        cfg.model_wrapper_cfg = {**wrapper, 'type': f'mmdense.{kind}'}
