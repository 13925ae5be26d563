"""Runs a command in this process, as a user types it."""
from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest import mock

from references.commands import tool

NUMBERS = itertools.count()


def run_tool(name: str, *words: object) -> None:
    """Run ``tools/<name>.py`` with these words; what it raises comes through."""
    with mock.patch.object(sys, 'argv', [f'{name}.py', *map(str, words)]):
        tool(name).main()


def experiment() -> str:
    """Return an option by which mmengine tells runs of the same second apart."""
    return f'experiment_name=run{next(NUMBERS)}'


@contextmanager
def quickly() -> Iterator[None]:
    """Leave out what takes most of a short run: formatting, looking for gcc and garbage."""
    with ExitStack() as stack:
        stack.enter_context(mock.patch('yapf.yapflib.yapf_api.FormatCode',
                                       lambda text, **style: (text, True)))
        stack.enter_context(mock.patch('mmengine.runner.runner.collect_env', dict))
        stack.enter_context(mock.patch('mmengine.dataset.base_dataset.gc'))
        yield
