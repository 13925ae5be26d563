"""The results of a frozen evaluation as JSON."""
from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from mmdense.files import write_whole


def without_nan(value: Any) -> Any:
    """Return nested dicts and lists with None in place of nan and inf, which JSON has not."""
    if isinstance(value, dict):
        return {key: without_nan(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_nan(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def to_json(report: dict) -> str:
    """Return a report as one line of JSON, with null for what could not be measured."""
    return json.dumps(without_nan(report), allow_nan=False)


def write_file(content: bytes, path: str | Path, what: str) -> None:
    """Write a file whole or not at all.

    Args:
        content: of the file.
        path: of it; its folder is made.
        what: it is, for the message.

    Raises:
        OSError: it could not be written (disk full, no permission); nothing of it is left.
    """
    try:
        write_whole(content, path)
    except OSError as error:
        raise OSError(f'{what} {error}') from None
