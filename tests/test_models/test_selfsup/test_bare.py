"""What a method calls bare runs its networks and heads as a step does, and nothing else."""
from __future__ import annotations

from collections import Counter

import pytest
import torch
from jobs.detcon import SOURCES, build_detcon
from references.tiny import build, build_cp2, build_location, build_moco

from mmdense.models.necks.projector import Projector
from mmdense.models.random_batch import random_batch


def calls(method, work) -> Counter:
    """Count the images or rows that each backbone and head is given, and with a gradient or not."""
    seen, hooks = Counter(), []
    for name, module in method.named_modules():
        if name.endswith('backbone') or isinstance(module, Projector):
            hooks.append(module.register_forward_hook(
                lambda _, args, out, name=name: seen.update({(name, torch.is_grad_enabled()):
                                                             len(args[0])})))
    ends = work()
    torch.autograd.backward(ends, [torch.ones_like(end) for end in ends])
    for hook in hooks:
        hook.remove()
    return seen


@pytest.mark.parametrize('make', [
    build, build_moco, lambda: build_moco(symmetric=True), lambda: build_detcon('S'),
    lambda: build_detcon('B'), lambda: build_detcon('B', two_views=False), build_location,
    lambda: build_location(instances='patches', num_grid=2), build_cp2],
    ids=['DenseCL', 'MoCo', 'symmetric', 'DetCon_S', 'DetCon_B', 'DetCon_B of one view',
         'location', 'patches', 'CP2'])
def test_networks_run_as_in_a_step(make):
    method = make()
    images, views = random_batch(method.num_views, 4, 64, regions=4)
    step = calls(method, lambda: [sum(method(images, views, mode='loss').values())])
    reached = {name for name, p in method.named_parameters() if p.grad is not None}
    method.zero_grad()
    before = {name: value.clone() for name, value in method.state_dict().items()
              if 'queue' in name or 'steps' in name}
    assert calls(method, lambda: method.bare(images)) == step
    assert {name for name, p in method.named_parameters() if p.grad is not None} == reached
    assert all(torch.equal(method.state_dict()[name], value) for name, value in before.items())


def test_the_whole_image_is_not_bare():
    """Only what owns the cells needs it."""
    method = build_detcon('B', regions=SOURCES['clustered'])
    images, views = random_batch(3, 4, 64)
    step = calls(method, lambda: [sum(method(images, views, mode='loss').values())])
    bare = calls(method, lambda: method.bare(images))
    assert step['twin.backbone', False] == 12 and bare['twin.backbone', False] == 8
