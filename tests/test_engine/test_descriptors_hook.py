"""Running out of file descriptors: known before the start, and no run hangs on it."""
from __future__ import annotations

import os
import resource
import time
from multiprocessing.resource_sharer import DupFd
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from torch.utils.data import DataLoader, Dataset

from mmdense import limits
from mmdense.datasets import collate_views
from mmdense.engine.descriptors_hook import SPARE, DescriptorsHook, needed_descriptors
from mmdense.errors import user_message
from mmdense.structures import ViewSample


class Pairs(Dataset):
    """Two views without regions; each sample draws from numpy's stream."""

    def __len__(self) -> int:
        return 512

    def __getitem__(self, index: int) -> dict:
        if index == 400:
            time.sleep(1)       # the batches before it have arrived
            os.kill(os.getpid(), 9)
        np.random.rand()
        sample = ViewSample(boxes=torch.zeros(2, 4), flips=torch.zeros(2, dtype=torch.bool),
                            metainfo=dict(index=index))
        return dict(inputs=[torch.zeros(3, 4, 4)] * 2, data_samples=sample)


@pytest.fixture
def limit():
    """A function that sets the soft limit; it is put back."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield lambda soft: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, before[1]))
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def loader(collate, workers: int = 8, **settings) -> DataLoader:
    return DataLoader(Pairs(), batch_size=128, num_workers=workers, collate_fn=collate, **settings)


@pytest.mark.parametrize(('collate', 'workers', 'tensors'), [
    (pseudo_collate, 8, 17 * 128 * 4), (pseudo_collate, 1, 5 * 128 * 4),
    (collate_views, 8, 17 * 5)])
def test_the_need_is_known_from_one_sample(collate, workers, tensors):
    np.random.seed(0)
    state = np.random.get_state()[1].copy()
    needed = needed_descriptors(loader(collate, workers))
    assert needed - SPARE - len(os.listdir('/proc/self/fd')) in range(tensors - 3, tensors + 1)
    assert (np.random.get_state()[1] == state).all()
    assert needed_descriptors(loader(collate, 0)) == 0


@pytest.mark.situation('lost runs', 'too few file descriptors for the batches of all workers, '
                       'where the limit cannot be raised', 'error',
                       'before the first step; names need, limit and the ways out')
def test_too_few_descriptors_are_told_before_the_first_step(limit):
    limit(1024)
    with pytest.raises(ValueError, match=r'num_workers=8 and batches of 512 tensors need '
                                         r'up to (89|9\d)\d\d file descriptors, the limit is '
                                         r'1024: '):   # with those that other tests have open
        DescriptorsHook().before_train(SimpleNamespace(train_dataloader=loader(pseudo_collate)))
    DescriptorsHook().before_train(SimpleNamespace(train_dataloader=loader(collate_views)))


@pytest.mark.situation('lost runs', '`ulimit -n 1024` where the system allows more', 'works',
                       'MMDense raises the soft limit for its own process')
def test_the_soft_limit_is_raised(limit):
    limit(200)
    limits.raise_descriptor_limit()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert soft == min(hard, limits.MOST_DESCRIPTORS) if hard > 0 else limits.MOST_DESCRIPTORS


def shrink(worker: int) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (60, 60))


@pytest.mark.situation('lost runs', 'a worker that runs out of descriptors all the same', 'error',
                       'the worker says so and ends, and the run with it: no hang')
def test_a_worker_without_descriptors_ends_the_run(capfd):
    batches = iter(loader(pseudo_collate, 1, worker_init_fn=shrink))
    with pytest.raises(RuntimeError) as caught:
        next(batches)
    assert 'cannot hand over its batch: ' in capfd.readouterr().err
    assert user_message(caught.value).startswith("a data loader's worker (process ")


@pytest.mark.situation('lost runs', 'a worker that the system kills (memory)', 'error',
                       'one line with the process and the likely cause; the run ends')
def test_a_killed_worker_ends_the_run_with_one_line():
    with pytest.raises(RuntimeError) as caught:
        list(loader(collate_views, 1))
    message = user_message(caught.value)
    assert 'by the signal Killed: the system ends processes so when memory runs' in message
    assert '\n' not in message


def test_a_worker_that_ended_while_its_batch_was_fetched(tmp_path):
    handle = DupFd(0)
    handle._id = str(tmp_path / 'gone'), handle._id[1]
    with pytest.raises(OSError) as caught:  # noqa: PT011  (any of connecting)
        handle.detach()
    assert user_message(caught.value).startswith("a data loader's worker ended: look above")
    with pytest.raises(OSError, match='gone') as caught:
        open(tmp_path / 'gone')
    assert user_message(caught.value) is None


@pytest.mark.parametrize(('text', 'said'), [
    ('DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that', 'shm-size'),
    ('DataLoader worker (pid(s) 7, 8) exited unexpectedly', r'\(process 7, 8\) ended: look')])
def test_what_torch_says_of_dead_workers(text, said):
    with pytest.raises(RuntimeError, match=said):
        raise RuntimeError(user_message(RuntimeError(text)))
