"""A run that is killed at any moment and resumed ends as if it never was."""
from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import torch
from references.toy import ROOT, write_config

ENVIRONMENT = {**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONWARNINGS': 'ignore',
               'PYTHONPATH': os.pathsep.join([str(ROOT / 'tests'), str(ROOT)])}


def train_in_lives(folder: Path, config: Path, runs: dict[str, tuple]) -> dict[str, int]:
    """Train ``runs`` (name: seed of its deaths, cfg-options) in ``folder``; return their lives."""
    jobs = [dict(seed=seed, interval=4,
                 arguments=[str(config), '--work-dir', str(folder / name), '--resume',
                            *(['--cfg-options', *options] if options else [])])
            for name, (seed, *options) in runs.items()]
    done = subprocess.run([sys.executable, '-m', 'references.lives', json.dumps(jobs)],
                          env=ENVIRONMENT, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return dict(zip(runs, json.loads(done.stdout.splitlines()[-1]), strict=True))


def flat(node, name: str = '') -> dict[str, object]:
    """Return every leaf of nested dicts and lists by its dotted name."""
    items = node.items() if isinstance(node, dict) else enumerate(node) \
        if isinstance(node, (list, tuple)) else None
    if items is None:
        return {name: node}
    return {key: leaf for k, child in items for key, leaf in flat(child, f'{name}.{k}').items()}


def saved_state(folder: Path) -> dict[str, object]:
    """Return weights, buffers, optimiser and schedules of the last checkpoint in ``folder``."""
    path = (folder / 'last_checkpoint').read_text()
    checkpoint = torch.load(path, weights_only=False)
    return flat({name: checkpoint[name] for name in
                 ('state_dict', 'optimizer', 'param_schedulers')})


def assert_same(left: Path, right: Path) -> None:
    """Every number of the two runs' last checkpoints is the same, bit for bit."""
    left, right = saved_state(left), saved_state(right)
    assert left.keys() == right.keys() and any('momentum_buffer' in key for key in left)
    for key, value in left.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, right[key]), key
        elif 'Tensor' not in str(type(value)):
            assert value == right[key], key


def test_killed_runs_end_with_the_same_weights_bit_for_bit(tmp_path):
    accumulate = 'optim_wrapper.accumulative_counts=2'
    workers = ('train_dataloader.num_workers=2', 'train_dataloader.persistent_workers=True')
    runs = {'whole': (None,), 'killed': (1,), 'killed_workers': (2, *workers),
            'accumulated': (None, accumulate), 'accumulated_killed': (3, accumulate, *workers)}
    lives = train_in_lives(tmp_path, write_config(tmp_path), runs)
    assert lives['whole'] == 1 and min(lives[name] for name in lives if 'killed' in name) >= 3
    assert_same(tmp_path / 'whole', tmp_path / 'killed')
    assert_same(tmp_path / 'whole', tmp_path / 'killed_workers')
    assert_same(tmp_path / 'accumulated', tmp_path / 'accumulated_killed')
    for name in runs:
        kept = sorted(path.name for path in (tmp_path / name).glob('*.pth*'))
        assert kept == ['iter_16.pth', 'iter_20.pth']
        assert not list((tmp_path / name).glob('.*.partial'))
