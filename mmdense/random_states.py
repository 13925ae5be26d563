"""The global random states: set from numbers, and put back after what must leave no trace."""
from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def seed_everything(*numbers: int) -> None:
    """Set the states of random, numpy and torch to f(numbers); numbers are >= 0."""
    words = np.random.SeedSequence(numbers).generate_state(4)
    random.seed(int(words[0]))
    np.random.seed(int(words[1]))
    torch.manual_seed((int(words[2]) << 32) + int(words[3]))


@contextmanager
def kept_random_state() -> Iterator[None]:
    """Put back the global states of random, numpy and torch (CPU, current GPU) afterwards.

    Also a data loader draws from the global state when it is iterated.
    """
    states = random.getstate(), np.random.get_state()
    devices = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
