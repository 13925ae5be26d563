"""What must fit each other before a run: length, loaders, learning rate."""
from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from references.run_tool import experiment, quickly, run_tool
from references.toy import write_config

from mmdense.engine import launch, settings
from mmdense.engine.launch import count_processes
from mmdense.engine.recipe import schedule
from mmdense.engine.settings import check_length, fit_workers, scale_learning_rate
from mmdense.errors import user_message


@pytest.fixture
def lines(monkeypatch) -> list[str]:
    """What is said."""
    said: list[str] = []
    monkeypatch.setattr(launch, 'print_log', lambda text, *args, **kwargs: said.append(text))
    return said


def train(folder: Path, *options: str, changes: str = '', words=()) -> dict:
    """Train the toy with one checkpoint at its end; return it."""
    config = write_config(folder)
    if changes:
        config = write_config(folder, changes, 'changed.py')
    with quickly():
        run_tool('train', config, '--work-dir', folder / 'run', *words, '--cfg-options',
                 experiment(), *options)
    return torch.load((folder / 'run/last_checkpoint').read_text(), weights_only=False)


@pytest.mark.situation('settings', '`auto_scale_lr.enable=True` with accumulated gradients',
                       'works', 'the rate is that of images x processes x accumulated; one line')
@pytest.mark.parametrize('words', [(), ('--amp',)])
def test_the_rate_counts_accumulated_images(tmp_path, lines, words):
    done = train(tmp_path, 'auto_scale_lr.enable=True', 'auto_scale_lr.base_batch_size=8',
                 'optim_wrapper.accumulative_counts=4', 'train_cfg.max_iters=4',
                 'optim_wrapper.paramwise_cfg.norm_decay_mult=0.',
                 'optim_wrapper.paramwise_cfg.bias_lr_mult=2.',
                 'optim_wrapper.optimizer.weight_decay=0.1', words=words)
    rates = {round(group['initial_lr'], 9) for group in done['optimizer']['param_groups']}
    assert rates == {0.2, 0.4}      # 0.1 x 16 / 8, and of biases
    assert [line for line in lines if line.startswith('auto_scale_lr')] == [
        'auto_scale_lr: optim_wrapper.optimizer.lr 0.1 for a batch of 8 becomes 0.2 for 4 images x '
        '1 processes x 4 accumulated = 16']


def scaled(launcher: str = 'none', **wrapper) -> Config:
    cfg = Config(dict(launcher=launcher, train_dataloader=dict(batch_size=8),
                      optim_wrapper=wrapper, auto_scale_lr=dict(enable=True, base_batch_size=16)))
    scale_learning_rate(cfg)
    scale_learning_rate(cfg)        # not twice
    return cfg.optim_wrapper


def test_the_rate_of_several_optimisers_and_processes(monkeypatch, lines):
    monkeypatch.setenv('SLURM_NTASKS', '4')
    one = dict(optimizer=dict(lr=0.1))
    assert scaled('slurm', **one).optimizer.lr == pytest.approx(0.2) and len(lines) == 1
    two = scaled(a=one, b=dict(one, accumulative_counts=3), constructor='X')
    assert (two.a.optimizer.lr, two.b.optimizer.lr) == pytest.approx((0.05, 0.15))


@pytest.mark.parametrize('scale, optimizer, message', [
    (dict(), dict(lr=1), 'base_batch_size=None'), (dict(base_batch_size=8), dict(), 'has no lr')])
def test_a_rate_that_cannot_be_scaled(scale, optimizer, message):
    with pytest.raises(ValueError, match=message):
        scale_learning_rate(Config(dict(
            train_dataloader=dict(batch_size=2), auto_scale_lr=dict(enable=True, **scale),
            optim_wrapper=dict(optimizer=optimizer))))


@pytest.mark.parametrize('launcher, environment, processes', [
    pytest.param('slurm', dict(SLURM_NTASKS='8', SLURM_PROCID='3'), 8, id='slurm',
                 marks=pytest.mark.situation(
                     'processes', '`recipe=auto` under `srun`, on 8 GPUs', 'works',
                     'the recipe counts 8 processes; one of them prints it')),
    pytest.param('mpi', dict(OMPI_COMM_WORLD_SIZE='4', OMPI_COMM_WORLD_RANK='1'), 4, id='mpi',
                 marks=pytest.mark.situation(
                     'processes', '`recipe=auto` under `mpirun`', 'works',
                     'the recipe counts its processes')),
    pytest.param('pytorch', dict(WORLD_SIZE='2', RANK='1'), 2, id='pytorch'),
    pytest.param('none', dict(WORLD_SIZE='2', SLURM_NTASKS='8'), 1, id='none'),
    pytest.param('slurm', dict(WORLD_SIZE='2', SLURM_NTASKS='8', SLURM_PROCID='1'), 8, id='both')])
def test_processes_are_counted_before_they_are_joined(monkeypatch, lines, launcher, environment,
                                                      processes):
    for name in ('WORLD_SIZE', 'SLURM_NTASKS', 'OMPI_COMM_WORLD_SIZE'):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert count_processes(launcher) == processes
    launch.say('once', launcher)
    assert lines == (['once'] if launcher == 'none' else [])


@pytest.mark.situation('settings', '`num_workers=0` where the config has persistent workers',
                       'works', 'they are left out, which is said')
def test_no_workers_no_persistent_ones(tmp_path, lines):
    train(tmp_path, 'train_dataloader.num_workers=0', 'train_dataloader.persistent_workers=True',
          'train_dataloader.prefetch_factor=4', 'train_cfg.max_iters=4')
    assert 'train_dataloader.num_workers=0: persistent_workers and prefetch_factor without effect' \
        in lines


def test_loaders_with_workers_and_memories_are_looked_at(lines):
    cfg = Config(dict(train_dataloader=dict(num_workers=1, persistent_workers=True),
                      val_cfg=dict(memory=dict(persistent_workers=True)), val_dataloader=None))
    fit_workers(cfg)
    assert cfg.train_dataloader.persistent_workers and cfg.val_cfg.memory == {}
    assert [line.partition('.num_workers')[0] for line in lines] == ['val_cfg.memory']


@pytest.mark.parametrize('device', ['cpu', 'cuda'])
def test_memory_is_pinned_for_a_gpu_alone(monkeypatch, device):
    monkeypatch.setattr(settings, 'get_device', lambda: device)
    cfg = Config(dict(train_dataloader=dict(num_workers=1, pin_memory=True)))
    fit_workers(cfg)
    assert cfg.train_dataloader.get('pin_memory') == (None if device == 'cpu' else True)


@pytest.mark.parametrize('option, message', [
    pytest.param('train_cfg.max_epochs=3', 'IterBasedTrainLoop counts iterations, .*max_iters=12, '
                 r'max_epochs=3; for epochs write', id='epochs', marks=pytest.mark.situation(
                     'settings', '`train_cfg.max_epochs=3` where iterations are counted', 'error',
                     'both lengths, and what a config in epochs needs')),
    pytest.param('train_cfg.type=EpochBasedTrainLoop', 'EpochBasedTrainLoop counts epochs, .*'
                 'max_epochs and no other length, and train_cfg has max_iters=12', id='loop',
                 marks=pytest.mark.situation(
                     'settings', '`train_cfg.type=EpochBasedTrainLoop` alone', 'error',
                     'what a config in epochs needs')),
    pytest.param('train_cfg.max_iters=0', 'max_iters=0: expected a whole number', id='none'),
    pytest.param('train_cfg.max_iters=1.5', 'max_iters=1.5: expected a whole number', id='half')])
def test_a_length_that_is_none_is_told(tmp_path, option, message):
    with pytest.raises(ValueError, match=message) as info:
        train(tmp_path, option)
    assert user_message(info.value).startswith('train_cfg')


@pytest.mark.parametrize('train_cfg', [
    dict(by_epoch=False, max_iters=3), dict(by_epoch=True, max_epochs=3), dict(type='Own', n=2),
    dict(type='mmengine.EpochBasedTrainLoop', max_epochs=3, val_interval=1)])
def test_lengths_that_fit(train_cfg):
    check_length(Config(dict(train_cfg=train_cfg)))


EPOCHS = """
train_cfg = dict(_delete_=True, type='EpochBasedTrainLoop', max_epochs=2)
train_dataloader = dict(sampler=dict(_delete_=True, type='DefaultSampler', shuffle=True),
                        drop_last=True)
param_scheduler = []
log_processor = dict(by_epoch=True)
default_hooks = dict(checkpoint=dict(by_epoch=True, interval=1))
"""


@pytest.mark.situation('settings', '`drop_last=True` and fewer images than a batch', 'error',
                       'images, batch size, and the ways out')
def test_an_epoch_without_a_batch_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r'13 images give each process 13, fewer than '
                                         r'train_dataloader.batch_size=16, .*at most 13'):
        train(tmp_path, 'train_dataloader.batch_size=16', changes=EPOCHS)
    assert train(tmp_path, 'train_dataloader.batch_size=13', changes=EPOCHS)['meta']['iter'] == 2


def test_an_endless_sampler_fills_its_batch(tmp_path):
    assert train(tmp_path, 'train_dataloader.drop_last=True', 'train_dataloader.batch_size=16',
                 'train_cfg.max_iters=4')['meta']['data']['position'] == 64


@pytest.mark.situation('settings', 'the auto recipe for one or two iterations', 'works',
                       'without a warm-up, from the full rate')
@pytest.mark.parametrize('iterations', [1, 2, 3, 40])
def test_a_schedule_of_any_length_trains(tmp_path, iterations):
    text = f'param_scheduler = {schedule(iterations)!r}\ntrain_cfg = dict(max_iters={iterations})'
    done = train(tmp_path, 'default_hooks.checkpoint.interval=1', changes=text)
    assert done['meta']['iter'] == iterations
    assert schedule(iterations)[-1]['end'] == iterations
