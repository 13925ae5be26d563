"""A step: a user's command, its folder, and the result it leaves there."""
from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmdense.mistakes import WrongValue

RESULT = 'result.json'


def folder_name(row: str) -> str:
    """Return the name of a row's folder."""
    return re.sub(r'\W+', '-', row).strip('-').lower()


def need(checkpoint: str | None, folder: Path) -> str:
    """Return the path of a checkpoint, as a user types it.

    Raises:
        ValueError: there is none.
    """
    if checkpoint is None:
        raise WrongValue(f'{folder} has no checkpoint; expected the file that last_checkpoint in '
                         'it names')
    return os.path.relpath(checkpoint)


@dataclass(frozen=True)
class Settings:
    """How steps are run.

    Attributes:
        work_dir: of all steps.
        tools: folder of train.py and the others.
        budget: share of every schedule.
        processes: of a training.
        amp: train in mixed precision.

    Raises:
        ValueError: a budget that is not above 0.
    """
    work_dir: Path
    tools: Path
    budget: float = 1.0
    processes: int = 2
    amp: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.budget < float('inf'):
            raise WrongValue(f'budget={self.budget}: expected a number above 0')

    def tool(self, name: str) -> str:
        """Return a tool's path as a user types it."""
        return os.path.relpath(self.tools / name)

    def folder(self, row: str, seed: int, name: str, fingerprint: str) -> Path:
        """Return the folder of a step."""
        return self.work_dir / folder_name(row) / f'seed{seed}' / f'{name}_{fingerprint[:8]}'


@dataclass(frozen=True)
class Step:
    """One command, its folder and its result.

    Attributes:
        row, seed: what it belongs to.
        name: such as ``pretrain``.
        folder: of its files.
        fingerprint: of all that decides the result; names the folder too.
        facts: what the result file says beside.
        command: makes the words of the command; None = ``make`` does the work here.
        read: returns what the command left, or raises ValueError.
        make: does the work of a step without a command.
        checkpoint: finds the checkpoint that the step leaves; None = it leaves none.
        start: the step whose checkpoint this one takes.
    """
    row: str
    seed: int
    name: str
    folder: Path
    fingerprint: str
    facts: dict[str, Any]
    command: Callable[[], list[str]] | None
    read: Callable[[], dict[str, Any]]
    make: Callable[[], None] | None = None
    checkpoint: Callable[[], str | None] | None = None
    start: Step | None = None

    @property
    def title(self) -> str:
        """The step's name in messages."""
        return f'{self.row}, seed {self.seed}, {self.name}'

    def result(self) -> dict[str, Any] | None:
        """Return the result file's content if it is this step's, else None."""
        path = self.folder / RESULT
        try:
            found = json.loads(path.read_text())
        except (FileNotFoundError, ValueError):
            return None
        same = isinstance(found, dict) and found.get('fingerprint') == self.fingerprint
        return found if same else None

    def others(self) -> list[Path]:
        """Return folders with this step's results of other settings."""
        found = self.folder.parent.glob(f'{self.folder.name.rpartition("_")[0]}_*/{RESULT}')
        return sorted(path.parent for path in found if self.result() is None)
