"""Commands called in this process, as the shell calls them."""
from __future__ import annotations

import importlib.util
import sys
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from unittest import mock

from mmengine.logging import MMLogger
from mmengine.visualization import Visualizer
from mmseg.visualization import SegLocalVisualizer

from mmdense.errors import run_command

ROOT = Path(__file__).resolve().parents[2]


@lru_cache
def load_tool(name: str) -> ModuleType:
    """Return ``tools/NAME.py`` as a module."""
    path = ROOT / f'tools/{name}.py'
    spec = importlib.util.spec_from_file_location(f'tool_{path.stem}', path)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    return tool


def run_tool(name: str, *arguments: object) -> int:
    """Run ``tools/NAME.py ARGUMENTS``; return the exit code."""
    tool = load_tool(name)
    MMLogger._instance_dict.clear()      # its stream is of an earlier test
    for kind in (Visualizer, SegLocalVisualizer):       # and their folder
        kind._instance_dict.clear()
    with mock.patch.object(sys, 'argv', [f'{name}.py', *map(str, arguments)]), \
            mock.patch.dict('os.environ'):
        try:
            run_command(tool.main)
        except SystemExit as error:
            return error.code
    return 0
