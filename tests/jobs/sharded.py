"""A twin under an optimiser that keeps its state in parts, run as ``job(rank, world)``."""
from __future__ import annotations

import torch
from torch import nn
from torch.distributed.optim import ZeroRedundancyOptimizer

from mmdense.models.momentum import MomentumTwin


def sharded_job(rank, world):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    twin = MomentumTwin({'network': network}, momentum=0.9)
    wrapped = nn.parallel.DistributedDataParallel(network)
    optimizer = ZeroRedundancyOptimizer(network.parameters(), torch.optim.Adam, lr=0.1)
    for _ in range(3):
        twin.follow()
        wrapped(torch.randn(5, 3)).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    state = twin.state_dict()
    return int(state.pop('steps')), [value.numpy() for value in state.values()]
