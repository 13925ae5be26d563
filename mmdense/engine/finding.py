"""What a check of a config before its run found."""
from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One line of the answer: whether it fits, what was checked, and the text."""
    fits: bool
    subject: str
    text: str
