"""Progress bars of the tools."""
from __future__ import annotations

from typing import Any

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)


def progress_bars(*texts: str, **options: Any) -> Progress:
    """Return bars with counts, columns of ``texts`` and the time left; options as of rich's."""
    return Progress(TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(),
                    *map(TextColumn, texts), TimeRemainingColumn(), **options)
