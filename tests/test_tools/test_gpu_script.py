"""tools/benchmarks/gpu.sh: one command for a machine with GPUs, tried with sizes for CPUs."""
from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from references.toy import ROOT

SCRIPT = ROOT / 'tools/benchmarks/gpu.sh'
#: what stands in for python: notes its arguments, prints a result, fails where it is told to
STUB = """#!/bin/sh
echo "$*" >> "$NOTES"
echo '{"value": 1}'
case "$*" in *"$FAILS"*) exit 1 ;; esac
"""


def run(folder: Path, gpus: int, fails: str = 'nothing', small: str = '0') -> tuple:
    """Run the script with a stub of python and ``gpus`` GPUs; return it and the commands."""
    for name, text in (('python', STUB),
                       ('nvidia-smi', '#!/bin/sh\n' + 'echo "GPU 0: a GPU"\n' * gpus)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    done = subprocess.run([SCRIPT, folder / 'out'], text=True, capture_output=True, env={
        **os.environ, 'PATH': f'{folder}:{os.environ["PATH"]}', 'PYTHON': str(folder / 'python'),
        'NOTES': str(folder / 'notes'), 'FAILS': fails, 'SMALL': small})
    notes = folder / 'notes'
    return done, notes.read_text().splitlines() if notes.exists() else []


@pytest.mark.parametrize('gpus, small, processes', [(8, '0', 2), (1, '0', 1), (0, '1', 2)])
def test_measures_then_trains_on_two(tmp_path, gpus, small, processes):
    done, commands = run(tmp_path, gpus, small=small)
    assert done.returncode == 0, done.stderr
    measured = [line for line in commands if 'torchrun' not in line]
    started = [line for line in commands if 'torchrun' in line]
    assert len(measured) == 6 and len(started) == 6
    assert all(f'--nproc_per_node {processes} ' in line for line in started)
    assert ('--size 224' in measured[0]) is (small == '0')
    results = [json.loads(line) for line in (tmp_path / 'out/results.jsonl').open()]
    assert [row['name'] for row in results][:2] == ['step_r50', 'step_r50_masked']
    assert ('one GPU alone' in done.stdout) is (gpus == 1)


def test_what_failed_is_named_and_the_rest_is_done(tmp_path):
    done, commands = run(tmp_path, 2, fails='detcon_s_r18')
    assert done.returncode == 1 and len(commands) == 12
    assert done.stderr == 'error: failed: detcon_s\n'
    assert 'FAILED, see' in (tmp_path / 'out/summary.txt').read_text()


@pytest.mark.situation('commands', '`tools/benchmarks/gpu.sh` without a GPU', 'error',
                       'says that SMALL=1 tries everything on the CPU')
def test_without_a_gpu_it_says_so(tmp_path):
    done, commands = run(tmp_path, 0)
    assert done.returncode == 1 and not commands
    assert done.stderr.startswith('error: no GPU here') and 'SMALL=1' in done.stderr


@pytest.mark.full
def test_everything_runs_on_cpu(tmp_path):
    done = subprocess.run([SCRIPT, tmp_path / 'out'], cwd=tmp_path, text=True, capture_output=True,
                          env={**os.environ, 'PYTHON': sys.executable, 'SMALL': '1'})
    assert done.returncode == 0, done.stdout + done.stderr
