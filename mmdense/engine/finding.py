"""What a look at a config before its run has to say."""
from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One line of the answer: whether it fits, what was looked at, and what it says."""
    fits: bool
    subject: str
    text: str
