"""A run whose loss is no number ends soon, on all processes, and keeps its good checkpoints."""
from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.runner import Runner
from references import toy
from torch import multiprocessing

from mmdense.checkpoints import read_checkpoint
from mmdense.checkpoints.values import not_finite
from mmdense.engine.finite_loss_hook import FiniteLossHook


def diverging(folder, **changes) -> Runner:
    cfg = Config.fromfile(toy.write_config(folder))
    cfg.merge_from_dict({'work_dir': str(folder), 'experiment_name': folder.name,
                         'optim_wrapper.optimizer.lr': 1e9, 'train_cfg.max_iters': 200,
                         'default_hooks.checkpoint.interval': 1, **changes})
    return Runner.from_cfg(cfg)


@pytest.mark.situation('numbers', 'a learning rate of 1e9', 'error', 'the run stops in the '
                       'iteration whose loss is no number, naming it, the loss and the '
                       'last good checkpoint')
def test_a_run_that_diverges_stops(tmp_path):
    runner = diverging(tmp_path, **{'default_hooks.checkpoint.interval': 1000})
    with pytest.raises(ValueError, match=r'training stops: at iteration \d loss = (nan|inf); there '
                                         rf'is no checkpoint in {tmp_path} yet; .*optimizer.lr'):
        runner.train()
    assert not list(tmp_path.glob('*.pth'))


@pytest.mark.situation('numbers', 'a learning rate of 1e9, and a checkpoint is due before the loss '
                       'shows it', 'error', 'the weights are not saved; the run stops and names '
                       'the last good checkpoint, which is finite')
def test_a_run_that_diverges_keeps_what_is_good(tmp_path):
    runner = diverging(tmp_path)
    with pytest.raises(ValueError, match=r'training stops: .*; the last good checkpoint is '
                                         rf'{tmp_path}/iter_1.pth'):
        runner.train()
    kept, = tmp_path.glob('iter_*.pth')
    assert not not_finite(read_checkpoint(kept)['state_dict'])


class FakeRunner(SimpleNamespace):
    """What the hook sees of a runner."""


def step(hook: FiniteLossHook, folder, iteration: int, **losses) -> None:
    runner = FakeRunner(iter=iteration - 1, max_iters=1000, work_dir=str(folder),
                        message_hub=MessageHub(f'finite{iteration}'))
    hook.after_train_iter(runner, iteration - 1, None,
                          {name: torch.tensor(value) for name, value in losses.items()})


@pytest.mark.parametrize('value', [math.nan, math.inf, -math.inf])
def test_the_part_that_is_no_number_is_named(tmp_path, value):
    hook = FiniteLossHook()
    step(hook, tmp_path, 1, loss=1.0, loss_dense=0.0, acc=value)
    with pytest.raises(ValueError, match=rf'at iteration 2 loss_dense = {value}, loss = {value}; '
                                         f'there is no checkpoint in {tmp_path} yet'):
        step(hook, tmp_path, 2, loss_single=1.0, loss_dense=value, loss=value)
    with pytest.raises(ValueError, match='interval=0'):
        FiniteLossHook(interval=0)


def one_of_two(rank: int, folder: str, results) -> None:
    dist.init_process_group('gloo', init_method=f'file://{folder}/meet', rank=rank, world_size=2)
    hook, iteration = FiniteLossHook(interval=5), 0
    try:
        while iteration < 20:
            iteration += 1
            step(hook, folder, iteration, loss=math.nan if rank and iteration > 6 else 1.0)
    except ValueError as error:
        results[rank] = iteration, str(error)
    dist.destroy_process_group()


@pytest.mark.situation('numbers', 'the loss of one of two processes is NaN', 'error',
                       'both stop in the same iteration, at most ten later')
def test_processes_stop_together(tmp_path):
    results = multiprocessing.Manager().dict()
    multiprocessing.start_processes(one_of_two, (str(tmp_path), results), 2, start_method='fork')
    (first, other), (second, own) = results[0], results[1]
    assert first == second == 10
    assert 'at iteration 7 a loss of another process is not finite' in other
    assert 'at iteration 7 loss = nan' in own
