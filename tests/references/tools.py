"""Commands called in this process, as the shell calls them."""
from __future__ import annotations

import sys
from unittest import mock

from mmengine.logging import MMLogger
from mmengine.visualization import Visualizer
from mmseg.visualization import SegLocalVisualizer

from mmdense.errors import run_command
from references.commands import tool


def run_tool(name: str, *arguments: object) -> int:
    """Run ``tools/NAME.py ARGUMENTS``; return the exit code."""
    MMLogger._instance_dict.clear()      # its stream is of an earlier test
    for kind in (Visualizer, SegLocalVisualizer):       # and their folder
        kind._instance_dict.clear()
    with mock.patch.object(sys, 'argv', [f'{name}.py', *map(str, arguments)]), \
            mock.patch.dict('os.environ'):
        try:
            run_command(tool(name).main)
        except SystemExit as error:
            return error.code
    return 0
