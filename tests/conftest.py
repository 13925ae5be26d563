"""Shared by all tests: a fixed seed, no scope left over, what tests and tools share importable."""
from __future__ import annotations

import gc
import os
import sys
import tempfile
from pathlib import Path

import pytest
import torch
from mmengine.registry import DefaultScope

sys.path.insert(0, str(Path(__file__).parent))
# what the tools and the benchmarks share; last, or tools/test.py would hide Python's own `test`
TOOLS = Path(__file__).resolve().parents[1] / 'tools'
sys.path += [str(TOOLS), str(TOOLS / 'benchmarks')]


#: files of minutes, which begin first: a process gets whole files, and would be left alone with one
LONG = ('test_resume.py', 'test_config_rows.py', 'test_configs.py', 'test_stock_tools.py')


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the files of ``LONG`` begin first, in its order; the others stay as they are."""
    items.sort(key=lambda item: LONG.index(item.path.name) if item.path.name in LONG
               else len(LONG))


def pytest_collection_finish() -> None:
    """Keep what importing made out of later collections: mmengine collects for each dataset."""
    gc.freeze()


def pytest_sessionfinish() -> None:
    """Let go again of what was kept, before the interpreter ends."""
    gc.unfreeze()


def pytest_configure(config: pytest.Config) -> None:
    """Keep lists of images where they end with the tests; commands that tests start do so, too."""
    folder = tempfile.TemporaryDirectory(prefix='mmdense_cache_')
    config.add_cleanup(folder.cleanup)
    os.environ['MMDENSE_CACHE'] = folder.name


@pytest.fixture(autouse=True)
def _fresh_start():
    torch.manual_seed(0)
    scopes = DefaultScope._instance_dict.copy()
    DefaultScope._instance_dict.clear()
    yield
    # a scope that a test's runner set would change what names mean in the tests after it
    DefaultScope._instance_dict.clear()
    DefaultScope._instance_dict.update(scopes)


@pytest.fixture(scope='session')
def repo() -> Path:
    """The repository's root."""
    return Path(__file__).resolve().parents[1]
