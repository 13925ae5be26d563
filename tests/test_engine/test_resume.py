"""A run that is killed at any moment and resumed ends as if it never was."""
from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from references.toy import ROOT, write_config

ENVIRONMENT = {**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONWARNINGS': 'ignore',
               'PYTHONPATH': os.pathsep.join([str(ROOT / 'tests'), str(ROOT)])}


DENSECL = """
from references.tiny import config
model = dict(_delete_=True, **config(queue=dict(size=24, own_image='masked', init='empty'),
                                     twin=dict(momentum=0.9, bn='split'),
                                     data_preprocessor=dict(type='mmdense.ViewsPreprocessor')))
view = [dict(type='mmdense.RandomResizedCrop', size=40), dict(type='mmdense.RandomFlip'),
        dict(type='mmdense.ColorJitter', brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1)]
train_dataloader = dict(collate_fn=dict(type='mmdense.collate_views'), dataset=dict(
    _delete_=True, type='mmdense.UnlabelledDataset', data_root='images', pipeline=[
        dict(type='mmdense.SeedSample'), dict(type='mmdense.LoadImage'),
        dict(type='mmdense.MultiView', views=[view, view], num_views=[1, 1]),
        dict(type='mmdense.PackViews')]))
train_cfg = dict(max_iters=8)
"""
DETCON = """
_base_ = 'densecl.py'
from references.tiny import detcon_config
model = dict(_delete_=True, **detcon_config(
    'B', regions=dict(type='mmdense.ClusteredRegions', clusters=(2, 4)),
    twin=dict(momentum=0.9, end_momentum=1.0, bn='plain'),
    data_preprocessor=dict(type='mmdense.ViewsPreprocessor')))
view = [dict(type='mmdense.RandomResizedCrop', size=64), dict(type='mmdense.RandomFlip')]
train_dataloader = dict(dataset=dict(pipeline=[
    dict(type='mmdense.SeedSample'), dict(type='mmdense.LoadImage'),
    dict(type='mmdense.MultiView', views=[view, view, [dict(type='Resize', scale=(96, 96))]]),
    dict(type='mmdense.PackViews')]))
"""
MULTI_TASK = """
_base_ = 'densecl.py'
from references.tiny import multi_task_config
model = dict(_delete_=True, **multi_task_config())
def views(size):
    view = [dict(type='mmdense.RandomResizedCrop', size=size), dict(type='mmdense.RandomFlip')]
    return dict(type='mmdense.UnlabelledDataset', data_root='images', pipeline=[
        dict(type='mmdense.SeedSample'), dict(type='mmdense.LoadImage'),
        dict(type='mmdense.MultiView', views=[view], num_views=[2]),
        dict(type='mmdense.PackViews')])
train_dataloader = dict(
    batch_size=2, sampler=dict(type='mmdense.MultiTaskSampler'),
    collate_fn=dict(type='mmdense.collate_tasks'), dataset=dict(
        _delete_=True, type='mmdense.MultiTaskDataset', shares=dict(image=2),
        datasets=dict(image=views(40), cells=views(64))))
del views
custom_hooks = [dict(type='mmdense.FeatureMonitorHook', interval=2),
                dict(type='mmdense.ForwardCountHook'), dict(type='mmdense.UnusedParametersHook')]
"""
WORKERS = ('train_dataloader.num_workers=2', 'train_dataloader.persistent_workers=True')


def train_in_lives(folder: Path, runs: dict[str, tuple]) -> dict[str, int]:
    """Train ``runs`` (name: config, seed of its deaths, cfg-options); return their lives."""
    jobs = [dict(seed=seed, interval=4,
                 arguments=[str(config), '--work-dir', str(folder / name), '--resume',
                            *(['--cfg-options', *options] if options else [])])
            for name, (config, seed, *options) in runs.items()]
    done = subprocess.run([sys.executable, '-m', 'references.lives', json.dumps(jobs)],
                          env=ENVIRONMENT, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return dict(zip(runs, json.loads(done.stdout.splitlines()[-1]), strict=True))


def write_images(folder: Path) -> None:
    """Write 7 small images of noise into ``folder``."""
    folder.mkdir()
    for number in range(7):
        noise = np.random.default_rng(number).integers(0, 256, (12, 10, 3), dtype=np.uint8)
        assert cv2.imwrite(str(folder / f'{number}.png'), cv2.resize(noise, (60, 50)))


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
    write_images(tmp_path / 'images')
    toy = write_config(tmp_path)
    densecl = write_config(tmp_path, DENSECL, 'densecl.py')
    detcon = tmp_path / 'detcon.py'
    detcon.write_text(DETCON)
    multi_task = tmp_path / 'multi_task.py'
    multi_task.write_text(MULTI_TASK)
    runs = {'toy': (toy, None), 'toy_killed': (toy, 1), 'toy_killed_workers': (toy, 2, *WORKERS),
            'sums': (toy, None, accumulate), 'sums_killed': (toy, 3, accumulate, *WORKERS),
            'densecl': (densecl, None), 'densecl_killed': (densecl, 5, *WORKERS),
            'detcon': (detcon, None), 'detcon_killed': (detcon, 6, *WORKERS),
            'tasks': (multi_task, None), 'tasks_killed': (multi_task, 7, *WORKERS)}
    lives = train_in_lives(tmp_path, runs)
    for name, count in lives.items():
        assert count >= 3 if 'killed' in name else count == 1
        assert_same(tmp_path / name.partition('_')[0], tmp_path / name)
        last = 8 if name.startswith(('de', 'tasks')) else 12
        assert [path.name for path in (tmp_path / name).glob('*.pth')] == [f'iter_{last}.pth']
        assert not list((tmp_path / name).glob('.*.partial'))


@pytest.mark.full
@pytest.mark.situation('lost runs', 'SIGKILL at 20 random moments or more: between iterations, and '
                       'before or after a file is flushed, renamed or removed', 'works',
                       'each run resumes and ends with the same weights, bit for bit')
def test_twenty_kills(tmp_path):
    write_images(tmp_path / 'images')
    configs = {'toy': write_config(tmp_path),
               'densecl': write_config(tmp_path, DENSECL, 'densecl.py')}
    runs = {name: (config, None) for name, config in configs.items()}
    runs |= {f'{name}_killed{seed}': (config, seed, *WORKERS)
             for name, config in configs.items() for seed in range(10, 15)}
    lives = train_in_lives(tmp_path, runs)
    assert sum(lives.values()) - len(lives) >= 20
    for name in lives:
        assert_same(tmp_path / name.partition('_')[0], tmp_path / name)
