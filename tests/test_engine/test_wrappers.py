"""Processes without a GPU: gloo, SyncBN made plain, bfloat16."""
from __future__ import annotations

from datetime import timedelta

import pytest
import torch
import torch.distributed as dist
from mmengine.config import Config
from references.toy import ToyModel
from torch import nn

from mmdense.engine import launch
from mmdense.engine.wrappers import BFloat16OptimWrapper, CPUDistributedDataParallel


@pytest.fixture
def one_process():
    dist.init_process_group('gloo', store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def gradients(model: nn.Module, module: nn.Module) -> list[torch.Tensor]:
    torch.manual_seed(1)
    model.train()(torch.rand(3, 3, 6, 6), mode='loss')['loss'].backward()
    return [p.grad for p in module.parameters()]


def test_cpu_wrapper_drops_gpu_numbers_and_sync_bn(one_process):
    plain, synced = ToyModel(), ToyModel(norm='SyncBatchNorm')
    synced.load_state_dict(plain.state_dict())
    wrapped = CPUDistributedDataParallel(synced, device_ids=[0], broadcast_buffers=False)
    for ours, reference in zip(gradients(wrapped, wrapped.module), gradients(plain, plain),
                               strict=True):
        assert torch.equal(ours, reference)
    assert not any(isinstance(m, nn.SyncBatchNorm) for m in wrapped.modules())


def test_bfloat16_wrapper_computes_in_bfloat16_and_steps_in_float32():
    model = nn.Linear(4, 2)
    wrapper = BFloat16OptimWrapper(torch.optim.SGD(model.parameters(), 0.1))
    with wrapper.optim_context(model):
        out = model(torch.ones(3, 4))
    before = model.weight.clone()
    wrapper.update_params(out.float().sum())
    assert out.dtype == torch.bfloat16 and model.weight.dtype == torch.float32
    assert torch.allclose(model.weight, before - 0.3)


@pytest.mark.parametrize('given, expected', [
    ({}, dict(type='mmdense.CPUDistributedDataParallel', broadcast_buffers=False,
              find_unused_parameters=True)),
    (dict(model_wrapper_cfg=dict(type='MMDistributedDataParallel', static_graph=True)),
     dict(type='mmdense.CPUDistributedDataParallel', static_graph=True)),
    (dict(model_wrapper_cfg=dict(type='Own')), dict(type='Own'))])
def test_the_config_is_fitted_for_several_processes_only(monkeypatch, given, expected):
    calls, left = [], []
    monkeypatch.setattr(launch, 'join_gloo', lambda *args: calls.append(args))
    monkeypatch.setattr(launch.atexit, 'register', left.append)
    base = dict(find_unused_parameters=True, env_cfg=dict(dist_cfg=dict(backend='nccl',
                                                                        timeout=7)))
    monkeypatch.setattr(launch, 'get_device', lambda: 'cpu')
    cfg = Config(dict(launcher='slurm', **base, **given))
    launch.start_processes(cfg)
    assert cfg.model_wrapper_cfg == expected
    assert calls == [('slurm', 7, None)]
    untouched = Config(dict(launcher='none', **base, **given))
    launch.start_processes(untouched)
    assert untouched.get('model_wrapper_cfg') == given.get('model_wrapper_cfg')
    monkeypatch.setattr(launch, 'get_device', lambda: 'cuda')
    on_gpus = Config(dict(launcher='pytorch', **base, **given))
    launch.start_processes(on_gpus)
    assert on_gpus.model_wrapper_cfg == {**expected, 'type': expected['type'].replace('CPU', '')}
    assert len(calls) == 1 and left == [launch.leave_group]


@pytest.mark.parametrize('launcher', ['pytorch', 'slurm', 'mpi'])
def test_a_gloo_group_is_what_the_launcher_says(monkeypatch, launcher):
    told, groups = ('3', '2'), []
    given = dict(zip(launch.LAUNCHERS[launcher][:2], told, strict=True))
    environ = {**given, 'SLURM_LOCALID': '1', 'MASTER_ADDR': 'host'}
    monkeypatch.setattr(launch.os, 'environ', environ)
    monkeypatch.setattr(dist, 'init_process_group', lambda *a, **k: groups.append((a, k)))
    launch.join_gloo(launcher, 7, 1234 if launcher == 'slurm' else None)
    assert (environ['WORLD_SIZE'], environ['RANK'], environ['MASTER_ADDR']) == (*told, 'host')
    assert environ['MASTER_PORT'] == ('1234' if launcher == 'slurm' else '29500')
    assert environ.get('LOCAL_RANK') == ('1' if launcher == 'slurm' else None)
    assert groups == [(('gloo',), dict(timeout=timedelta(seconds=7)))]
