"""What tells whether two things are the same: their sha256, in hex."""
from __future__ import annotations

import hashlib
import json
import os
from typing import Any


def digest(*parts: Any) -> str:
    """Return the sha256, in hex, of parts that json can write; other objects count as text."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def file_digest(path: str | os.PathLike) -> str:
    """Return the sha256, in hex, of a file's bytes."""
    with open(path, 'rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()
