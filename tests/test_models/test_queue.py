"""FeatureQueue: a ring buffer of any length for any batch, whole in the state dict."""
from __future__ import annotations

import pytest
import torch

from mmdense.models import queue as queue_module
from mmdense.models.queue import EMPTY, UNKNOWN, FeatureQueue


def ring(size, batches):
    """What a list with a write position holds after pushing the batches."""
    slots, pointer = [None] * size, 0
    for batch in batches:
        for item in batch:
            slots[pointer] = item
            pointer = (pointer + 1) % size
    return slots


@pytest.mark.parametrize('size, batches', [(7, [3, 3, 3]), (5, [5]), (4, [3, 4, 2]), (6, [1] * 8),
                                           (7, [2, 7, 1])])
def test_wraps_around_like_a_list(size, batches):
    queue, start, pushed = FeatureQueue(size, 2, init='empty'), 0, []
    for count in batches:
        index = torch.arange(start, start + count)
        queue.push(index[:, None] * torch.ones(1, 2), index)
        pushed.append(index.tolist())
        start += count
    expected = [EMPTY if x is None else x for x in ring(size, pushed)]
    assert queue.index.tolist() == expected
    assert queue.filled.item() == min(start, size)
    assert queue.keys[:, 0].tolist() == [0 if x == EMPTY else x for x in expected]


def test_random_start_is_full_of_unit_vectors_of_no_image():
    queue = FeatureQueue(64, 16, init='random')
    torch.testing.assert_close(queue.keys.norm(dim=1), torch.ones(64))
    assert queue.filled == 64 and (queue.index == UNKNOWN).all()


def test_resumes_from_its_state_dict():
    queue, resumed = FeatureQueue(5, 2), FeatureQueue(5, 2)
    queue.push(torch.ones(3, 2), torch.arange(3))
    resumed.load_state_dict(queue.state_dict())
    for q in (queue, resumed):
        q.push(torch.zeros(4, 2), torch.arange(4))
    for name, buffer in queue.state_dict().items():
        assert torch.equal(buffer, resumed.state_dict()[name])


@pytest.mark.parametrize('size, world_size, batch', [
    pytest.param(20, 1, 32, id='one-process', marks=pytest.mark.situation(
        'settings', 'a queue smaller than a batch', 'error', 'at the first step: names queue.size, '
        'the keys of a step and what to set')),
    pytest.param(100, 8, 16, id='eight-processes', marks=pytest.mark.situation(
        'processes', 'a queue smaller than the batches of all processes', 'error', 'at the first '
        'step: names queue.size, the keys of a step and what to set')),
    (1, 2, 1)])
def test_more_keys_than_slots_are_refused(monkeypatch, size, world_size, batch):
    monkeypatch.setattr(queue_module, 'get_world_size', lambda: world_size)
    queue = FeatureQueue(size, 2)
    with pytest.raises(ValueError, match=(
            f'queue.size={size} is less than the {batch * world_size} keys of one step .*'
            f'set model.queue.size to {batch * world_size} or more, .*to {size // world_size}')):
        queue.push(torch.ones(batch, 2), torch.arange(batch))
    assert queue.pointer == 0


def test_of_size_zero_keeps_nothing():
    queue = FeatureQueue(0, 4)
    queue.push(torch.ones(2, 4), torch.arange(2))
    assert queue.keys.shape == (0, 4) and queue.filled == 0


@pytest.mark.parametrize('args', [dict(size=-1), dict(size=4, init='zeros')])
def test_wrong_arguments_are_named(args):
    with pytest.raises(ValueError, match="size >= 0 and init 'random', 'empty' or 'filled'"):
        FeatureQueue(dim=2, **args)


def test_a_checkpoint_of_another_length_leaves_the_queue_as_it_is():
    longer, queue = FeatureQueue(8, 2), FeatureQueue(5, 2, init='empty')
    queue.push(torch.eye(2), torch.tensor([3, 4]))
    before = {name: value.clone() for name, value in queue.state_dict().items()}
    state = longer.state_dict()
    queue.load_state_dict(state)
    assert all(torch.equal(value, before[name]) for name, value in queue.state_dict().items())
    assert state['keys'].shape == (8, 2)
    same = FeatureQueue(8, 2)
    same.load_state_dict(state)
    assert torch.equal(same.keys, longer.keys)
