"""Shared by all tests: quiet mmengine, few threads, `references` importable."""
from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def _fixed_seed():
    torch.manual_seed(0)
    yield


@pytest.fixture(scope='session')
def repo() -> Path:
    """The repository's root."""
    return Path(__file__).resolve().parents[1]
