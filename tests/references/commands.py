"""The tools, called in this process as their command lines are."""
from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from unittest import mock

import pytest
from mmengine.config import Config
from mmengine.runner import Runner

ROOT = Path(__file__).resolve().parents[2]


@lru_cache
def tool(name: str) -> ModuleType:
    """Return the module of ``tools/NAME.py``."""
    spec = importlib.util.spec_from_file_location(f'tool_{name}', ROOT / f'tools/{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def command_line(*arguments: object, cwd: Path) -> Iterator[None]:
    """Give a tool its arguments, a folder to run in, and an environment that it may change."""
    with contextlib.chdir(cwd), mock.patch.dict(os.environ), \
            mock.patch.object(sys, 'argv', ['tool', *map(str, arguments)]):
        yield


def call_tool(name: str, *arguments: object, cwd: Path) -> None:
    """Run ``tools/NAME.py`` with arguments in the folder ``cwd``."""
    with command_line(*arguments, cwd=cwd):
        tool(name).main()


def build_parts(runner: Runner) -> None:
    """Build everything that a runner builds before its first iteration, and run none."""
    if runner.train_loop is not None:
        runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
        runner.scale_lr(runner.optim_wrapper, runner.auto_scale_lr)
        runner.param_schedulers = runner.build_param_scheduler(runner.param_schedulers)
    for loop in (runner.train_loop, runner.val_loop, runner.test_loop):
        assert loop is None or len(loop.dataloader.dataset)


def build_with_tool(name: str, *arguments: object, cwd: Path) -> Runner:
    """Return the runner, with all its parts, that a tool would run with arguments in ``cwd``."""
    built = []

    def build(runner: Runner) -> None:
        build_parts(runner)
        built.append(runner)

    with mock.patch.multiple(Runner, train=build, test=build):
        call_tool(name, *arguments, cwd=cwd)
    return built[0]


@pytest.fixture
def quick_runs(monkeypatch) -> None:
    """Leave out what only a log shows and takes a second each time it is asked for."""
    monkeypatch.setattr(Config, 'pretty_text', property(lambda cfg: ''))
    monkeypatch.setattr('mmengine.runner.runner.collect_env', dict)
