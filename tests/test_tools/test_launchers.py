"""The shell scripts: several processes on CPU, and what a user sees when one fails."""
from __future__ import annotations

import os
import signal
import subprocess
import sys

import torch
from references.toy import ROOT, write_config


def environment(**changes: str) -> dict[str, str]:
    """This process's without what an outer launcher may have set."""
    kept = {k: v for k, v in os.environ.items() if k not in ('PORT', 'NNODES', 'LOCAL_RANK')}
    return {**kept, 'PYTHON': sys.executable, 'PYTHONPATH': str(ROOT / 'tests'),
            'PYTHONWARNINGS': 'ignore', **changes}


def test_two_cpu_processes_train_a_sync_bn_config_made_for_gpus(tmp_path):
    config = write_config(tmp_path)
    done = subprocess.run(
        [ROOT / 'tools/dist_train.sh', config, '2', '--amp', '--work-dir', tmp_path / 'run',
         '--cfg-options', 'model.norm=SyncBatchNorm', 'train_cfg.max_iters=8',
         'default_hooks.logger.interval=4'],
        env=environment(), cwd=tmp_path, capture_output=True, text=True)
    output = done.stdout + done.stderr
    assert done.returncode == 0, output[-3000:]
    assert 'SyncBN does not run on CPU' in output and 'mixed precision: bfloat16 on cpu' in output
    assert output.count('Iter(train) [8/8]') == 1
    state = torch.load(tmp_path / 'run/iter_8.pth', weights_only=False)['state_dict']
    assert 'body.1.running_mean' in state
    assert all(torch.isfinite(value).all() for value in state.values())


def run_torchrun(tmp_path, body: str) -> subprocess.CompletedProcess:
    script = tmp_path / 'script.py'
    script.write_text(f'import os, sys, time\nrank = int(os.environ["RANK"])\n{body}')
    return subprocess.run(
        [sys.executable, ROOT / 'tools/torchrun.py', '--standalone', '--local_addr', '127.0.0.1',
         '--nproc_per_node', '2', script],
        env=environment(OMP_NUM_THREADS='1'), capture_output=True, text=True)


def test_a_process_that_ends_with_an_error_speaks_alone(tmp_path):
    done = run_torchrun(tmp_path, 'time.sleep(60 * rank)\nsys.exit("error: no such file")')
    assert done.returncode == 1
    assert done.stderr == 'error: no such file\n'


def test_a_process_that_is_killed_is_named(tmp_path):
    done = run_torchrun(tmp_path, 'time.sleep(60 * (1 - rank))\nos.kill(os.getpid(), 9)')
    assert done.returncode == 1
    assert done.stderr == f'error: process 1 was ended by signal {int(signal.SIGKILL)}\n'


def test_an_interrupted_launcher_shows_no_stack(tmp_path):
    # process 0 interrupts torchrun, as Ctrl-C does; each process ends as a tool of ours
    done = run_torchrun(tmp_path, """
try:
    if rank == 0:
        time.sleep(1)
        os.kill(os.getppid(), 2)
    time.sleep(60)
except KeyboardInterrupt:
    sys.exit(130)""")
    assert done.returncode == 130
    assert done.stderr == ''


def test_scripts_ask_for_what_is_missing():
    for script, arguments, said in (('dist_train.sh', ['c.py'], 'usage: '),
                                    ('dist_test.sh', ['c.py', 'x.pth'], 'usage: '),
                                    ('slurm_train.sh', ['part', 'job'], 'usage: '),
                                    ('dist_train.sh', ['c.py', '--resume'],
                                     "error: number of processes '--resume'")):
        done = subprocess.run([ROOT / 'tools' / script, *arguments], env=environment(),
                              capture_output=True, text=True)
        assert done.returncode in (1, 2) and done.stderr.startswith(said)


def test_slurm_command(tmp_path):
    srun = tmp_path / 'srun'
    srun.write_text('#!/bin/sh\necho "$OMP_NUM_THREADS" "$@"\n')
    srun.chmod(0o755)
    done = subprocess.run(
        [ROOT / 'tools/slurm_train.sh', 'part', 'job', 'c.py', '--resume'], text=True,
        env=environment(PATH=f'{tmp_path}:{os.environ["PATH"]}', GPUS='4', GPUS_PER_NODE='0',
                        CPUS_PER_TASK='3', SRUN_ARGS='--mem 5G', OMP_NUM_THREADS=''),
        capture_output=True)
    assert done.stdout.split() == [
        '3', '-p', 'part', '--job-name=job', '--ntasks=4', '--cpus-per-task=3',
        '--kill-on-bad-exit=1', '--mem', '5G', sys.executable, '-u',
        str(ROOT / 'tools/train.py'), 'c.py', '--launcher', 'slurm', '--resume']
